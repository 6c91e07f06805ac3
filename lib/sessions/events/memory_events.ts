import type { SessionChange, SessionEntry } from "../session_entry.ts";
import type { FollowItem, SessionEvent, SessionEvents } from "./events.ts";

/** How many events are kept, as many as lua/line.lua keeps. */
const HISTORY = 20_000;

/** The events of a single process. */
export class MemoryEvents implements SessionEvents {
  /** A ring: the event with the number `n` is at `n % capacity`. */
  readonly #ring: SessionEvent[] = [];
  readonly #capacity: number;
  /** The number that the next event will have. */
  #next = 0;
  #lastMs = Date.now();
  #lastId = `${this.#lastMs}-0`;
  #changed: PromiseWithResolvers<void> | undefined;

  constructor({ capacity = HISTORY }: { capacity?: number } = {}) {
    this.#capacity = capacity;
  }

  add(kind: SessionChange, session: SessionEntry): void {
    this.#lastMs = Math.max(this.#lastMs, Date.now());
    this.#lastId = `${this.#lastMs}-${this.#next + 1}`;
    this.#ring[this.#next % this.#capacity] = { id: this.#lastId, kind, session };
    this.#next++;
    this.#changed?.resolve();
    this.#changed = undefined;
  }

  async *follow(signal: AbortSignal): AsyncGenerator<FollowItem> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      for (let seen: number | undefined; !signal.aborted;) {
        if (seen === undefined || this.#next - seen > this.#capacity) {
          seen = this.#next;
          yield { kind: "position", id: this.#lastId };
        } else if (seen < this.#next) {
          const events = this.#range(seen, this.#next);
          seen = this.#next;
          yield { kind: "events", events };
        } else {
          this.#changed ??= Promise.withResolvers();
          await Promise.race([this.#changed.promise, aborted.promise]);
        }
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  between(after: string, upTo: string): Promise<SessionEvent[] | undefined> {
    const from = this.#numberAfter(after);
    const to = this.#numberAfter(upTo);
    return Promise.resolve(from === undefined || to === undefined ? undefined : this.#range(from, to));
  }

  /** The number of the event that follows the one with an id that is in the ring. */
  #numberAfter(id: string): number | undefined {
    const next = Number(id.split("-")[1]);
    const kept = next <= this.#next && next > this.#next - this.#capacity;
    return kept && this.#ring[(next - 1) % this.#capacity]?.id === id ? next : undefined;
  }

  #range(from: number, to: number): SessionEvent[] {
    return Array.from({ length: to - from }, (_, i) => this.#ring[(from + i) % this.#capacity]!);
  }
}
