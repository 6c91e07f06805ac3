/** The log of clients that are turned away or cut: as quiet when there are many as when there are few. */

import type { Clock, Timer } from "../service/clock.ts";
import { getLogger } from "../service/log.ts";
import type { EndKind, EndReason } from "./end_reason.ts";

const log = getLogger(["solo", "tasks"]);

/** How long trouble is gathered before it is written. */
const SUM_UP_MS = 1000;

/** How many peers a summary names. */
const MAX_PEERS = 3;

/** A connection was closed for this reason, or refused, or could not even be accepted. */
type Trouble = EndKind | "refused" | "not-accepted";

interface Sum {
  count: number;
  /** The first few, as examples. */
  peers: string[];
  /** What was said of the first one. */
  reason: string;
}

/**
 * Writes at most one line a second for each kind of trouble, with how often there was any and a few of the peers, so that
 * a flood of bad clients is no flood of lines. Who is alone with it in that second has a line as plain as can be.
 */
export class TroubleLog implements Disposable {
  readonly #sums = new Map<Trouble, Sum>();
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The server has closed a connection. */
  closed(peer: string, { kind, text }: EndReason): void {
    this.#add(kind, text, peer);
  }

  /** The server has refused a connection. */
  refused(peer: string, reason: string): void {
    this.#add("refused", reason, peer);
  }

  /** The system would not have a connection accepted. */
  notAccepted(reason: string): void {
    this.#add("not-accepted", reason);
  }

  /** Writes what has not been written yet. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#write();
  }

  #add(trouble: Trouble, reason: string, peer?: string): void {
    let sum = this.#sums.get(trouble);
    if (sum === undefined) this.#sums.set(trouble, sum = { count: 0, peers: [], reason });
    sum.count++;
    if (peer !== undefined && sum.peers.length < MAX_PEERS) sum.peers.push(peer);
    this.#timer ??= this.#clock.after(SUM_UP_MS, () => this.#write());
  }

  #write(): void {
    this.#timer = undefined;
    for (const [trouble, { count, peers, reason }] of this.#sums) {
      const verb = trouble === "refused" ? "refused" : "closed";
      if (trouble === "not-accepted") {
        log.error("cannot accept a connection: {reason} ({count} times in a second)", { count, reason });
      } else if (count === 1) {
        log.warning(`${verb} {peer}: {reason}`, { peer: peers[0], reason });
      } else {
        const line = `${verb} {count} connections in a second, such as {peers}: {reason}`;
        log.warning(line, { count, peers: peers.join(", "), reason });
      }
    }
    this.#sums.clear();
  }
}
