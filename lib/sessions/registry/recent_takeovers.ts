import type { Clock } from "../../service/clock.ts";

const MINUTE_MS = 60_000;

/** In each minute of a duel there is a takeover: after two without one it is over. */
const EPISODE_MS = 2 * MINUTE_MS;

/** The takeovers of one client. */
interface Recent {
  /** When they were, by the monotonic clock, the oldest first; as many as the limit at most. */
  atMs: number[];
  /** Whether a newcomer has been refused since. */
  told: boolean;
}

/**
 * How often each client was taken over within the last minute, for a registry of one process; what lua/takeovers.lua is
 * for a cluster. It remembers only those that were.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { systemClock } from "../../service/clock.ts";
 * const takeovers = new RecentTakeovers(1, systemClock);
 * assert.equal(takeovers.take("kim"), "taken");
 * assert.equal(takeovers.take("kim"), "none-first");
 * assert.equal(takeovers.take("kim"), "none");
 * assert.equal(takeovers.take("sam"), "taken");
 * ```
 */
export class RecentTakeovers {
  readonly #limit: number;
  readonly #clock: Clock;
  /** In the order of the last takeover. */
  readonly #recent = new Map<string, Recent>();

  /** @param limit How many takeovers of one client a minute has room for; 0 for any number. */
  constructor(limit: number, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Of how many clients something is remembered. */
  get size(): number {
    return this.#recent.size;
  }

  /** Counts a takeover where there is room. @returns whether there is none, and whether it was said for the first time. */
  take(clientId: string): "taken" | "none" | "none-first" {
    if (this.#limit === 0) return "taken";
    const nowMs = this.#clock.nowMs();
    this.#forget(nowMs);
    const recent = this.#recent.get(clientId) ?? { atMs: [], told: false };
    if (recent.atMs.length >= this.#limit && nowMs - recent.atMs[0]! < MINUTE_MS) {
      const { told } = recent;
      recent.told = true;
      return told ? "none" : "none-first";
    }
    if (recent.atMs.length >= this.#limit) recent.atMs.shift();
    recent.atMs.push(nowMs);
    this.#recent.delete(clientId); // to the end of the order
    this.#recent.set(clientId, recent);
    return "taken";
  }

  /** Those whose last takeover was the longest ago stand first. */
  #forget(nowMs: number): void {
    for (const [clientId, { atMs }] of this.#recent) {
      if (nowMs - atMs.at(-1)! < EPISODE_MS) return;
      this.#recent.delete(clientId);
    }
  }
}
