/** What ends at a moment of its own, and which of it is due. */

/** Moments within this time of each other count as one. */
const SLOT_MS = 250;

/**
 * Things that end at a given Unix time, however many, without a timer each. Whoever owns them asks `due` now and then:
 * every 250 ms, nothing ends before its time nor more than half a second after it. The time is the wall clock's, which
 * is what `exp` is measured by; it may be set.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const expiries = new Expiries<string>();
 * expiries.add("kim", 1_000);
 * expiries.add("lee", 60_000);
 * assert.deepEqual(expiries.due(999), []);
 * assert.deepEqual(expiries.due(1_250), ["kim"]);
 * expiries.delete("lee", 60_000);
 * assert.deepEqual(expiries.due(90_000), []);
 * ```
 */
export class Expiries<T> {
  /** By the number of the slot; each is due when its last moment has come. */
  readonly #slots = new Map<number, Set<T>>();
  /** No slot before this one is in use. */
  #first = Infinity;

  /** @param endsAtMs Unix ms. */
  add(item: T, endsAtMs: number): void {
    const slot = slotOf(endsAtMs);
    const items = this.#slots.get(slot);
    if (items) items.add(item);
    else this.#slots.set(slot, new Set([item]));
    this.#first = Math.min(this.#first, slot);
  }

  /** Forgets what has ended otherwise; does nothing where it is not there. */
  delete(item: T, endsAtMs: number): void {
    const slot = slotOf(endsAtMs);
    const items = this.#slots.get(slot);
    if (items?.delete(item) && items.size === 0) this.#slots.delete(slot);
  }

  /** Whose time is over; forgotten here from now on. */
  due(nowMs: number): T[] {
    const now = Math.floor(nowMs / SLOT_MS);
    if (now < this.#first) return [];
    const due: T[] = [];
    this.#first = Infinity;
    for (const [slot, items] of this.#slots) {
      if (slot <= now) {
        due.push(...items);
        this.#slots.delete(slot);
      } else this.#first = Math.min(this.#first, slot);
    }
    return due;
  }
}

function slotOf(endsAtMs: number): number {
  return Math.ceil(endsAtMs / SLOT_MS);
}
