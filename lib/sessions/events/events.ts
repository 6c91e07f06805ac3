/** What becomes of sessions, told as it happens: the contract of who watches. */

import type { Connect } from "../redis_connection.ts";
import type { SessionChange, SessionEntry } from "../session_entry.ts";

/** One event; applying it twice changes nothing, since a session is opened once and ends once. */
export interface SessionEvent {
  /**
   * `<Unix ms>-<number>`, growing in the order of the events of the whole service. Two services, or two runs of a
   * service without a store, never have the same one for different events.
   */
  readonly id: string;
  readonly kind: SessionChange;
  readonly session: SessionEntry;
}

/** What a follower is told. */
export type FollowItem =
  /**
   * Events come from here on; nothing is known of the time before. A listing that is read now, with the events that
   * follow applied to it, is the truth. It comes first, and again whenever events may have been missed.
   */
  | { readonly kind: "position"; readonly id: string }
  /** The next events, none left out. No events at all: the store answers again, and none were missed. */
  | { readonly kind: "events"; readonly events: SessionEvent[] }
  /** The store does not answer; what is known grows old until the next item of another kind. */
  | { readonly kind: "lost" };

/** The events of all processes of the service. */
export interface SessionEvents {
  /** Events from now on, in order, until the signal is aborted; then it ends without an error. */
  follow(signal: AbortSignal): AsyncIterable<FollowItem>;

  /**
   * The events after the one with the id `after` up to the one with the id `upTo`, or `undefined` where the history
   * does not reach back to it.
   *
   * @throws when the store does not answer.
   */
  between(after: string, upTo: string): Promise<SessionEvent[] | undefined>;
}

/** An event as it is kept: its id and its text. */
export type RawEvent = [id: string, text: string];

/** Where the events of a cluster are kept in Redis: what its registry tells of the stream that its scripts write. */
export interface EventSource {
  connect: Connect;
  /** Of the stream. */
  key: string;
  /** How long Redis may take to answer. */
  timeoutMs: number;
  /** At most `count` events from the id `from` to the id `to`, both included. */
  range(from: string, to: string, count: number): Promise<RawEvent[]>;
  /**
   * Resolves when data that was lost has been put back: when a look at it that begins after the call finds every session
   * that may live.
   */
  settled(): Promise<void>;
}

/** The moment of an event, Unix time. */
export function timeOf(id: string): number {
  return Number.parseInt(id);
}
