import type { Clock, Timer } from "../../../service/clock.ts";
import { getLogger } from "../../../service/log.ts";

const log = getLogger(["solo", "registry"]);

/** What cutting one connection takes, and whatever else may hold up the first; more where more was measured. */
const CUT_MS = 0.05;
const CUT_DELAY_MS = 20;

/** What asking one session to go takes until its close frame is with the kernel, and how long any such end takes. */
const ASK_MS = 0.3;
const ASK_DELAY_MS = 500;

/** So much of the lease may go to asking and to cutting, at most. */
const ASK_SHARE = 0.3;
const CUT_SHARE = 0.5;

/** So many sessions are asked before the time is looked at, and others have their turn. */
const SLICE = 64;

/** Measurements of fewer cuts say more about the clock than about the cuts. */
const MEASURED_CUTS = 100;

/** A session that has to end. */
export interface Endable {
  /** Asks it to go. @returns a promise that is kept when its end is evident. */
  ask(): Promise<void>;
  /** Ends it at once, which keeps that promise. */
  cut(): void;
}

/**
 * Ends all sessions of a lease before the lease is over, however many they are.
 *
 * They are asked to go first, so that their clients are told why; when only the time that cutting takes is left, all that
 * are still there are cut, without a pause. What that takes per session is measured, and is the margin of the next time.
 */
export class Fence {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  #cutMs = CUT_MS;
  #askMs = ASK_MS;
  readonly #left = new Set<Endable>();
  #timer: Timer | undefined;
  #leftMs: () => number = () => Infinity;
  #over: PromiseWithResolvers<void> | undefined;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** How long before the end of the lease so many sessions must begin to end, ms. */
  marginMs(count: number): number {
    return this.#cutMarginMs(count) + Math.min(ASK_DELAY_MS + count * this.#askMs, this.#leaseMs * ASK_SHARE);
  }

  /** How many sessions can be ended within a lease. */
  get capacity(): number {
    return Math.floor((this.#leaseMs * CUT_SHARE - CUT_DELAY_MS) / this.#cutMs);
  }

  /**
   * Ends sessions.
   *
   * @param leftMs Tells how much is left of the lease.
   * @returns a promise that is kept when the end of all of them is evident.
   */
  async end(sessions: Endable[], leftMs: () => number): Promise<void> {
    if (sessions.length === 0) return;
    this.#over = Promise.withResolvers();
    this.#leftMs = leftMs;
    for (const session of sessions) this.#left.add(session);
    const startedAtMs = this.#clock.nowMs();
    let asked = 0;
    for (const session of sessions) {
      if (this.check()) break;
      asked++;
      session.ask().then(() => this.#gone(session));
      if (asked % SLICE === 0) await this.#clock.nextTurn();
    }
    this.#wait();
    await this.#over.promise;
    const tookMs = this.#clock.nowMs() - startedAtMs - ASK_DELAY_MS;
    if (asked === sessions.length) this.#askMs = Math.max(this.#askMs, tookMs / asked);
  }

  /** Cuts what is left when it is time to. @returns whether nothing is left. To be asked before anything is sent. */
  check(): boolean {
    if (this.#left.size > 0 && this.#leftMs() <= this.#cutMarginMs(this.#left.size)) this.#cut();
    return this.#left.size === 0;
  }

  #cut(): void {
    const count = this.#left.size;
    const startedAtMs = this.#clock.nowMs();
    for (const session of this.#left) {
      try {
        session.cut();
      } catch (error) {
        log.error("a session could not be cut: {error}", { error });
      }
    }
    const tookMs = this.#clock.nowMs() - startedAtMs;
    if (count >= MEASURED_CUTS) this.#cutMs = Math.max(this.#cutMs, tookMs / count);
    log.warn("{count} sessions were cut in {ms} ms, since the lease ends", { count, ms: Math.round(tookMs) });
    this.#left.clear();
    this.#gone();
  }

  #wait(): void {
    if (this.#left.size === 0) return;
    const waitMs = this.#leftMs() - this.#cutMarginMs(this.#left.size);
    this.#timer = this.#clock.after(Math.max(0, waitMs), () => {
      if (!this.check()) this.#wait();
    });
  }

  #gone(session?: Endable): void {
    if (session) this.#left.delete(session);
    if (this.#left.size > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#over?.resolve();
  }

  #cutMarginMs(count: number): number {
    return CUT_DELAY_MS + count * this.#cutMs;
  }
}
