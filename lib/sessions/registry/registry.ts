/**
 * The contract between the server, which owns sockets, and a registry, which owns the truth about who may have one.
 *
 * A registry keeps for each `client_id` a line of sessions, the newest last. Only a session that is alone in its line
 * is told to establish; the older ones are told to go first, wherever they are. So there is never more than one
 * established session per `client_id`, and of any number that race exactly the newest is left.
 */

import type { Delivery, SessionEntry } from "../session_entry.ts";

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

  /** Sends a text, at once, where the session is established and was not told to go. */
  deliver(text: string): Promise<Delivery>;

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
   * the whole cluster, until there are two minutes without a takeover.
   */
  | { kind: "crowded"; first: boolean }
  /** This process no longer holds the lease that the others respect. */
  | { kind: "lease-lost" }
  /** Somebody with the right to do so has ended it. */
  | { kind: "ended" }
  /** Its client may not have a session at the moment, see `SessionRegistry.end`. */
  | { kind: "blocked" };

/**
 * Of which session an operation may be, as `If-Match` says it: one of these session_ids, or `*` for whichever is established.
 * Without it there is no condition.
 */
export type Condition = readonly string[] | "*" | undefined;

/** Why an operation found nothing that it may do something with. */
export type Missing =
  /** Nobody is established. */
  | { kind: "nobody" }
  /** Another session is established than the condition names. */
  | { kind: "other" };

/** How to end the sessions of a client. */
export interface EndOptions {
  /**
   * Where it names sessions and one of them is established, that one is ended, and one that waits behind it has its turn.
   * @default all that are in the line of the client now are ended
   */
  condition?: Condition;
  /** From before the end and for so long nobody is let in as this client, and all that are in its line are ended, ms. */
  blockMs?: number;
}

/** What has come of it. */
export type EndResult =
  | Missing
  /** A successor could be established: nothing is sent on these sessions any more. */
  | { kind: "ended" }
  /** Nothing was done: too many clients are blocked already. */
  | { kind: "full" }
  /** They were asked to go, and again and again, but their end is not evident in the time that there is for it. */
  | { kind: "unconfirmed" };

/** What has come of sending a text to a client. */
export type SendResult =
  | Missing
  /** The kernel took it for this session, which was established then. */
  | { kind: "sent"; sessionId: string }
  /** Nothing was sent: the client does not read. */
  | { kind: "full" }
  /** Nothing was sent: the client's session was ending, and no other came, in the time that there is for it. */
  | { kind: "unsent" }
  /** The process that holds the session has not answered in time: it may have been sent. */
  | { kind: "unknown" };

/** What a registry can do at this moment. */
export type RegistryState =
  /** All is well. */
  | "ready"
  /** The lease is new; sessions wait a moment until every other process has seen it. */
  | "joining"
  /** Processes of an older version are running, which know nothing of this one: no session can be held beside them. */
  | "preceded"
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

  /**
   * The established session of a client; what that costs does not grow with the number of sessions.
   *
   * @throws {RegistryUnreachableError} when the store does not answer.
   */
  find(clientId: string): Promise<SessionEntry | undefined>;

  /**
   * Ends the sessions of a client, wherever they are. Nobody who connects later is touched.
   *
   * @throws {RegistryUnreachableError} when the store does not answer; they may have been asked to go.
   */
  end(clientId: string, options?: EndOptions): Promise<EndResult>;

  /**
   * Sends a text to a client on its established session, at most once.
   *
   * @throws {RegistryUnreachableError} when the store does not answer; nothing was sent.
   */
  send(clientId: string, text: string, condition?: Condition): Promise<SendResult>;

  /**
   * For how long nobody is let in as this client, as far as this process knows, ms; 0 where anybody is. A claim is refused in
   * any case: this is for whoever can refuse earlier.
   */
  blockedMs(clientId: string): number;
}

/** Whether a session may be operated on. */
export function meets(condition: Condition, sessionId: string): boolean {
  return condition === undefined || condition === "*" || condition.includes(sessionId);
}

/** The store behind a registry did not answer in time. */
export class RegistryUnreachableError extends Error {
  override readonly name = "RegistryUnreachableError";
}
