import { setImmediate as nextTurn } from "node:timers/promises";

/** Where time and timers come from, so that a test can turn the hands. */
export interface Clock {
  /** Milliseconds since a fixed moment; never goes back, and stands still while the machine is suspended. */
  nowMs(): number;
  /** Unix time as the machine has it, ms: it may be set, and it goes on while the machine is suspended. */
  wallMs(): number;
  /** Calls `callback` once, in `ms` milliseconds at the earliest, unless the timer is disposed of before. */
  after(ms: number, callback: () => void): Timer;
  /** Resolves when all that was due before has run. */
  nextTurn(): Promise<void>;
}

/** A call that is yet to come. Disposing of it twice, or when it has come, does nothing. */
export type Timer = Disposable;

/** The clocks of the system, and the timers of the event loop. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, callback) {
    const id = setTimeout(callback, ms);
    return { [Symbol.dispose]: () => clearTimeout(id) };
  },
  nextTurn: () => nextTurn(),
};

/**
 * Waits for `ms` milliseconds, or until the signal is aborted: then it ends at once, without an error.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const startedAtMs = systemClock.nowMs();
 * await delay(systemClock, 60_000, AbortSignal.timeout(10));
 * assert.ok(systemClock.nowMs() - startedAtMs < 60_000);
 * ```
 */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      timer[Symbol.dispose]();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(ms, end);
    signal?.addEventListener("abort", end);
  });
}

/** A wait that took longer than it may. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * Waits for `promise`, at most `timeoutMs`.
 *
 * The promise itself goes on after the deadline; its late rejection is not reported as unhandled.
 *
 * @param what Names the wait in the error: "Redis did not answer".
 * @throws {DeadlineError} when the time is over first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(await withDeadline(Promise.resolve(1), 100, "the answer is late"), 1);
 * await assert.rejects(withDeadline(new Promise(() => {}), 10, "no answer"), /no answer within 10 ms/);
 * ```
 */
export function withDeadline<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new DeadlineError(`${what} within ${timeoutMs} ms`)), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
