/** The place that a `Line` gives to an item and reads again; nobody else touches it. */
export interface InLine {
  slot: number;
}

const MIN_CAPACITY = 64;

/**
 * A first-in, first-out line that items may also leave from the middle, and that knows each item's position.
 *
 * Joining, leaving and asking for a position take O(log n) steps, however many have left: each item has a slot, and a
 * Fenwick tree counts the taken ones before it. When the slots are used up, those still in line move to the front.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const line = new Line<{ name: string; slot: number }>();
 * const [anna, boris, vera] = ["anna", "boris", "vera"].map((name) => ({ name, slot: 0 }));
 * for (const item of [anna!, boris!, vera!]) line.join(item);
 * line.leave(boris!);
 * assert.equal(line.positionOf(vera!), 2);
 * assert.equal(line.first, anna);
 * assert.equal(line.at(2), vera);
 * ```
 */
export class Line<T extends InLine> {
  #slots: (T | undefined)[] = new Array(MIN_CAPACITY);
  /** A Fenwick tree, counted from 1: node i holds how many of the `i & -i` slots up to number i are taken. */
  #taken = new Int32Array(MIN_CAPACITY + 1);
  /** The first slot that may be taken. */
  #head = 0;
  /** The first slot that was never taken. */
  #tail = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Who has been in line for longest. */
  get first(): T | undefined {
    while (this.#head < this.#tail && this.#slots[this.#head] === undefined) this.#head++;
    return this.#slots[this.#head];
  }

  /** Goes to the end of the line. */
  join(item: T): void {
    if (this.#tail === this.#slots.length) this.#compact();
    item.slot = this.#tail++;
    this.#slots[item.slot] = item;
    this.#count(item.slot, 1);
    this.#length++;
  }

  /** Leaves from wherever it stands; the item must be in line. */
  leave(item: T): void {
    if (this.#slots[item.slot] !== item) throw new Error("Cannot leave a line without standing in it");
    this.#slots[item.slot] = undefined;
    this.#count(item.slot, -1);
    this.#length--;
  }

  /** The position of an item that is in line; 1 is the first. */
  positionOf(item: T): number {
    let position = 0;
    for (let i = item.slot + 1; i > 0; i -= i & -i) position += this.#taken[i]!;
    return position;
  }

  /** Who stands at a position; 1 is the first. */
  at(position: number): T | undefined {
    if (position < 1 || position > this.#length) return undefined;
    // down the tree, by halves, past all subtrees that hold too few
    let slots = 0;
    for (let step = this.#slots.length; step > 0; step >>= 1) {
      const taken = this.#taken[slots + step];
      if (taken !== undefined && taken < position) {
        slots += step;
        position -= taken;
      }
    }
    return this.#slots[slots];
  }

  /** From the first to the last. Each costs O(log n), however many have left between them. */
  *[Symbol.iterator](): Generator<T> {
    for (let position = 1; position <= this.#length; position++) yield this.at(position)!;
  }

  /** From the last to the first. */
  *backwards(): Generator<T> {
    for (let position = this.#length; position > 0; position--) yield this.at(position)!;
  }

  #count(slot: number, change: 1 | -1): void {
    for (let i = slot + 1; i < this.#taken.length; i += i & -i) this.#taken[i]! += change;
  }

  /** At least half of the new slots are free, so that a compaction is paid by as many joins as it moves items. */
  #compact(): void {
    const items = this.#slots.filter((item) => item !== undefined);
    let capacity = MIN_CAPACITY;
    while (capacity < 2 * items.length) capacity *= 2;
    this.#slots = new Array(capacity);
    this.#taken = new Int32Array(capacity + 1);
    this.#head = this.#tail = this.#length = 0;
    for (const item of items) this.join(item);
  }
}
