import type { Clock } from "../../lib/service/clock.ts";

/** A clock whose hands only the test moves. */
export class FakeClock implements Clock {
  #nowMs = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}
