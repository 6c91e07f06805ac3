/** Where the time comes from, so that a test can turn the hands. */
export interface Clock {
  /** Milliseconds since a fixed moment; never goes back. */
  nowMs(): number;
}

/** The time since this process started, by the system's monotonic clock. */
export const monotonicClock: Clock = { nowMs: () => performance.now() };

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
