import type { StartTimer } from "../../lib/tasks/executor.ts";

interface Timer {
  delayMs: number;
  callback: () => void;
}

/** Timers that end only when the test says so. */
export class FakeTimers {
  readonly #running = new Set<Timer>();

  /** To be given to who starts timers. */
  readonly start: StartTimer = (callback, delayMs) => {
    const timer = { callback, delayMs };
    this.#running.add(timer);
    return () => this.#running.delete(timer);
  };

  /** How long each of those that run was to run. */
  get delaysMs(): number[] {
    return [...this.#running].map(({ delayMs }) => delayMs);
  }

  /** Ends the one that was to run for so long. */
  fire(delayMs: number): void {
    const timer = [...this.#running].find((timer) => timer.delayMs === delayMs);
    if (timer === undefined) {
      throw new Error(`no timer of ${delayMs} ms runs, but ${this.delaysMs.join(", ")}`);
    }
    this.#running.delete(timer);
    timer.callback();
  }
}
