import type { Clock } from "../../service/clock.ts";

/** So many clients may be blocked at a time: every process knows all of them. */
export const MAX_BLOCKS = 10_000;

/** Which clients may not connect, as far as a process knows, and for how long. */
export class Blocks {
  readonly #clock: Clock;
  /** When the block of a client is over, by the monotonic clock. */
  readonly #ends = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long a client is blocked yet, ms; 0 where it is not. */
  leftMs(clientId: string): number {
    if (this.#ends.size === 0) return 0; // as almost always
    const endMs = this.#ends.get(clientId);
    if (endMs === undefined) return 0;
    const leftMs = endMs - this.#clock.nowMs();
    if (leftMs <= 0) this.#ends.delete(clientId);
    return Math.max(0, leftMs);
  }

  /** Blocks a client from now on, whatever was said of it before. @returns whether there was room for one more. */
  add(clientId: string, ms: number): boolean {
    if (this.#ends.size >= MAX_BLOCKS && !this.#ends.has(clientId)) this.#forgetOld();
    if (this.#ends.size >= MAX_BLOCKS && !this.#ends.has(clientId)) return false;
    this.#ends.set(clientId, this.#clock.nowMs() + ms);
    return true;
  }

  /** These clients are blocked, and no other. */
  replace(blocks: Iterable<[clientId: string, ms: number]>): void {
    this.#ends.clear();
    for (const [clientId, ms] of blocks) this.add(clientId, ms);
  }

  /** All that are blocked now, and for how long yet. */
  *[Symbol.iterator](): Generator<[clientId: string, ms: number]> {
    this.#forgetOld();
    const nowMs = this.#clock.nowMs();
    for (const [clientId, endMs] of this.#ends) yield [clientId, endMs - nowMs];
  }

  #forgetOld(): void {
    const nowMs = this.#clock.nowMs();
    for (const [clientId, endMs] of this.#ends) if (endMs <= nowMs) this.#ends.delete(clientId);
  }
}
