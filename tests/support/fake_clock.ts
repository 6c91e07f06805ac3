import type { Clock, Timer } from "../../lib/service/clock.ts";

/** A clock whose hands only the test moves; what is due rings while they move. */
export class FakeClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  nextTurn(): Promise<void> {
    return Promise.resolve();
  }

  /** Time passes, and nothing rings: the process stands still. */
  stand(ms: number): void {
    this.#nowMs += ms;
  }

  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.callback();
    }
    this.#nowMs = end;
  }
}
