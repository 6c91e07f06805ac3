import { Random } from "../chaos/random.ts";

/** Something that will happen. */
interface Happening {
  atMs: number;
  /** Of two at the same moment the one that was planned first comes first. */
  order: number;
  run: () => void;
}

/** How many promises may follow one another before the next event; a chain that is longer goes on beside the next one. */
const TURNS = 12;

/**
 * The one clock of a simulation, and what will happen when. Nothing else makes time pass; the same seed makes the same
 * things happen in the same order.
 */
export class World {
  readonly random: Random;
  /** How many events have happened. */
  events = 0;
  #nowMs = 0;
  #order = 0;
  readonly #heap: Happening[] = [];
  readonly #log: string[] | undefined;

  /** @param traced Whether what is told is kept. */
  constructor(seed: string, traced: boolean) {
    this.random = new Random(seed);
    this.#log = traced ? [] : undefined;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** What was told, a line each. */
  get trace(): string[] {
    return this.#log ?? [];
  }

  /** Something happens after `ms`. @returns how to prevent it. */
  after(ms: number, run: () => void): () => void {
    return this.at(this.#nowMs + ms, run);
  }

  /** Something happens at a moment, or now where that has passed. @returns how to prevent it. */
  at(atMs: number, run: () => void): () => void {
    const happening = { atMs: Math.max(this.#nowMs, atMs), order: this.#order++, run };
    this.#push(happening);
    return () => happening.run = nothing;
  }

  /** Writes down what is worth to know when something went wrong; costs nothing unless it is kept. */
  tell(text: () => string): void {
    this.#log?.push(`${this.#nowMs.toFixed(3).padStart(10)}  ${text()}`);
  }

  /** Lets things happen until a moment. */
  async runUntil(endMs: number): Promise<void> {
    for (let next = this.#heap[0]; next && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      if (next.run === nothing) continue;
      this.#nowMs = next.atMs;
      this.events++;
      next.run();
      for (let i = 0; i < TURNS; i++) await undefined;
    }
    this.#nowMs = endMs;
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(happening);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(happening, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = happening;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function nothing(): void {}
