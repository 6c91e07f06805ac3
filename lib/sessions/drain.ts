/** How a process gives its sessions away: one after the other, as fast as the others can take them. */

import { type Clock, delay } from "../service/clock.ts";
import { CLOSE_CODES, type CloseCode } from "./close_codes.ts";

/** No session is closed sooner after the one before it than the system's timers are exact: several are then closed at once. */
const STEP_MS = 10;

/** What a process that was held up makes good at once, at most, beyond the wait that was meant: not all that it has missed. */
const MAX_STEP_MS = 100;

/**
 * The least that clients are told to spread over. Closes that are even need no more spreading, but a process that was held up
 * for a moment closes several at once, and those who take the clients have such moments, too.
 */
const MIN_WITHIN_S = 2;

/** Clients read a number of at most five digits. */
const MAX_WITHIN_S = 86_400;

/** So much at least of what is left of the time goes to closing: the rest is for the peers to answer. */
const CLOSING_SHARE = 0.5;

/** What a drain has to do, and how long it may take. */
export interface DrainPlan {
  /** How many sessions there are. */
  count: number;
  /** How many clients the others should be sent in a second. */
  perSecond: number;
  /** How long closing may take, and how long its peers may take to answer after that, ms. */
  leftMs: number;
  answerMs: number;
}

/**
 * The pace of one drain, and what its clients are told.
 *
 * Clients come back at the rate at which they are closed, each after a wait that it draws from 0 to `withinS`: a rate that goes
 * on for `closingMs` is spread over `closingMs + withinS` and is nowhere higher than `count / max(closingMs, withinS)`. So where
 * the sessions are closed at the drain rate any wait keeps it, and a short one is best for the client. Where they have to be
 * closed faster than that, `count / rate` is the wait that brings the clients back at the rate all the same.
 */
export class Drain {
  readonly #perSecond: number;
  readonly #endsInMs: number;
  /** Whether the rate would need more time than there is. */
  readonly hurried: boolean;
  /** The longest that a client should wait before it comes back, seconds. */
  readonly withinS: number;

  constructor({ count, perSecond, leftMs, answerMs }: DrainPlan) {
    this.#perSecond = perSecond;
    this.#endsInMs = Math.max(leftMs * CLOSING_SHARE, leftMs - answerMs);
    const neededMs = count / perSecond * 1000;
    this.hurried = neededMs > this.#endsInMs;
    const withinS = this.hurried ? Math.ceil(neededMs / 1000) : MIN_WITHIN_S;
    this.withinS = Math.min(Math.max(MIN_WITHIN_S, withinS), MAX_WITHIN_S);
  }

  /** What a session is closed with. */
  get farewell(): CloseCode {
    const { reason, ...code } = CLOSE_CODES.goingAway;
    return { ...code, reason: `${reason}; reconnect within ${this.withinS} s` };
  }

  /**
   * Closes sessions evenly, at the drain rate or as fast as the time demands.
   *
   * @param sessions Those that end by themselves meanwhile may leave the set.
   * @param close Ends one.
   * @param signal Ends the drain before its time.
   */
  async run<S>(
    sessions: ReadonlySet<S>,
    close: (session: S) => void,
    { clock, signal }: { clock: Clock; signal: AbortSignal },
  ): Promise<void> {
    const endsAtMs = clock.nowMs() + this.#endsInMs;
    const left = new Set(sessions);
    let due = 0, lookedAtMs = clock.nowMs(), waitMs = 0;
    while (left.size > 0 && !signal.aborted) {
      const nowMs = clock.nowMs();
      const perMs = Math.max(this.#perSecond / 1000, left.size / Math.max(1, endsAtMs - nowMs));
      due += Math.min(nowMs - lookedAtMs, waitMs + MAX_STEP_MS) * perMs;
      lookedAtMs = nowMs;
      for (const session of left) {
        if (due < 1) break;
        left.delete(session);
        if (!sessions.has(session)) continue;
        due--;
        close(session);
      }
      if (left.size === 0) return;
      waitMs = Math.max(STEP_MS, (1 - due) / perMs);
      await delay(clock, waitMs, signal);
    }
  }
}
