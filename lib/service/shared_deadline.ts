import { type Clock, DeadlineError, systemClock, type Timer } from "./clock.ts";

/** One wait: until when, and whom to tell. */
interface Wait {
  endMs: number;
  reject(error: DeadlineError): void;
}

/**
 * The same time limit for many waits at once, at the price of a single timer: what `withDeadline` does, where there
 * are tens of thousands of waits a second and hardly one of them ends late.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * using deadline = new SharedDeadline(10, "no answer");
 * assert.equal(await deadline.limit(Promise.resolve(1)), 1);
 * await assert.rejects(deadline.limit(new Promise(() => {})), /no answer within 10 ms/);
 * ```
 */
export class SharedDeadline implements Disposable {
  /** In the order of their ends, which is the order in which they began. */
  readonly #waits = new Set<Wait>();
  readonly #timeoutMs: number;
  readonly #what: string;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  /** @param what Names the wait in the error: "Redis did not answer". */
  constructor(timeoutMs: number, what: string, clock: Clock = systemClock) {
    this.#timeoutMs = timeoutMs;
    this.#what = what;
    this.#clock = clock;
  }

  /**
   * Waits for `promise`, at most as long as all others.
   *
   * The promise itself goes on after the deadline; its late rejection is not reported as unhandled.
   *
   * @throws {DeadlineError} when the time is over first.
   */
  limit<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const wait = { endMs: this.#clock.nowMs() + this.#timeoutMs, reject };
      this.#waits.add(wait);
      this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#onTimer());
      promise.then((value) => {
        this.#waits.delete(wait);
        resolve(value);
      }, (error) => {
        this.#waits.delete(wait);
        reject(error);
      });
    });
  }

  /** Stops the timer: the waits that are left end only as their promises do. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#waits.clear();
  }

  /** Ends the waits whose time is over, and sleeps until the next one's is. */
  #onTimer(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    for (const wait of this.#waits) {
      if (wait.endMs > nowMs) {
        this.#timer = this.#clock.after(Math.ceil(wait.endMs - nowMs), () => this.#onTimer());
        return;
      }
      this.#waits.delete(wait);
      wait.reject(new DeadlineError(`${this.#what} within ${this.#timeoutMs} ms`));
    }
  }
}
