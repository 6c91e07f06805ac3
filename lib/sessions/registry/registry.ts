/**
 * The contract between the server, which owns sockets, and a registry, which owns the truth about who may have one.
 *
 * A registry keeps for each `client_id` a line of sessions, the newest last. Only a session that is alone in its line
 * is told to establish; the older ones are told to go first, wherever they are. So there is never more than one
 * established session per `client_id`, and of any number that race exactly the newest is left.
 */

import type { SessionEntry } from "../session_entry.ts";

/** A connection that wants to be the session of its client. Implemented by the server's side. */
export interface Candidate {
  readonly clientId: string;
  /** Fresh for every connection: a UUID. */
  readonly sessionId: string;
  /** When the connection was made, Unix time. */
  readonly connectedAtMs: number;
  /** Whether it replaces who has the `client_id`; one that does not is refused where there is somebody. */
  readonly takesOver: boolean;

  /** Called at most once: the session is the only one of its client from now on and may say so. */
  establish(): void;

  /**
   * Called at most once: the session must end. A candidate may be revoked before it was established.
   *
   * @returns a promise that is kept, within a bound and never broken, when there is evidence of the end: the close frame is
   * with the kernel, the peer has closed by itself, or the connection is cut. Only then may the registry tell anyone.
   */
  revoke(reason: RevokeReason): Promise<void>;

  /**
   * Cuts the connection without a word, where there is no time for more; also after `revoke`, whose promise it keeps.
   * Safe to call twice.
   */
  cut(): void;
}

/** Why a registry ends a session. */
export type RevokeReason =
  /** A newer connection has the same `client_id`. */
  | { kind: "replaced"; bySessionId: string; byNode: string }
  /** It never was one: somebody has the `client_id` or waits for it, and this one takes over from nobody. */
  | { kind: "occupied" }
  /**
   * It never was one: its client was taken over too often within a minute, and this one would do so again. `first` for one in
   * the whole cluster, until there is a minute without a takeover.
   */
  | { kind: "crowded"; first: boolean }
  /** This process no longer holds the lease that the others respect. */
  | { kind: "lease-lost" };

/** What a registry can do at this moment. */
export type RegistryState =
  /** All is well. */
  | "ready"
  /** The lease is new; sessions wait a moment until every other process has seen it. */
  | "joining"
  /** The store does not answer; sessions live on until the lease is over, new ones wait. */
  | "unreachable"
  /** No lease: no session can be held. */
  | "unleased";

/** Who holds the session of which client, in this process or in the whole cluster. */
export interface SessionRegistry extends AsyncDisposable {
  /** The state now; asking is cheap and ends sessions whose lease has run out. */
  readonly state: RegistryState;

  /** Puts a candidate at the end of the line of its client, or refuses it. Every outcome arrives by the candidate's own methods. */
  claim(candidate: Candidate): void;

  /**
   * Takes a candidate out of its line, for whatever reason its socket has ended. Calling it again, or for one that was
   * revoked, does nothing; a successor's entry is never touched.
   */
  release(candidate: Candidate): void;

  /**
   * The established sessions of all processes, page by page, each client at most once.
   *
   * @throws {RegistryUnreachableError} from the iteration when the store does not answer.
   */
  list(): AsyncIterable<SessionEntry[]>;
}

/** The store behind a registry did not answer in time. */
export class RegistryUnreachableError extends Error {
  override readonly name = "RegistryUnreachableError";
}
