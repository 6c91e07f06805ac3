import type { Redis } from "./redis.ts";

/** Redises of which another takes the place of the primary when it fails. */
export interface Replicated extends AsyncDisposable {
  /** As a service is given it. */
  readonly url: string;
  /** Who takes the writes of the service now. */
  current(): Promise<Redis>;
  /** Waits until another than this does. It is not asked itself: it may stand still, or be dead. */
  failover(from: Redis): Promise<Redis>;
  /** Waits until all are back that there are, so that the primary could be replaced once more. */
  complete(): Promise<void>;
}
