/** What all connections together make the server hold, and who is to go when it is too much. */

/** One who makes the server hold something. */
export interface Holder {
  /** How much, in bytes. */
  readonly heldBytes: number;
  /** Lets go of it all, now, and says so by `change`. */
  release(): void;
}

/**
 * Bounds the sum of what connections hold: begun requests, and replies that are held back or not yet taken by the system.
 *
 * Each connection is bounded for itself too, but a bound for one times the number of connections is more than a machine
 * has. When the sum is over the limit, whoever holds most is released, until it is not.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const holders = [30, 70].map((heldBytes) => ({ heldBytes, release() {
 *   memory.change(-this.heldBytes);
 *   this.heldBytes = 0;
 * } }));
 * const memory = new ConnectionMemory(100, () => holders);
 * memory.change(100);
 * assert.equal(memory.bytes, 100);
 * holders[0]!.heldBytes++;
 * memory.change(1);
 * assert.deepEqual(holders.map(({ heldBytes }) => heldBytes), [31, 0]);
 * ```
 */
export class ConnectionMemory {
  #bytes = 0;

  /**
   * @param maxBytes What may be held.
   * @param holders Everyone who may hold something.
   */
  constructor(readonly maxBytes: number, readonly holders: () => Iterable<Holder>) {}

  /** What is held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes note that somebody holds this much more, or less. */
  change(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > this.maxBytes) {
      const largest = this.#largest();
      if (largest === undefined) return;
      largest.release();
    }
  }

  #largest(): Holder | undefined {
    let largest: Holder | undefined;
    for (const holder of this.holders()) {
      if (holder.heldBytes > (largest?.heldBytes ?? 0)) largest = holder;
    }
    return largest;
  }
}
