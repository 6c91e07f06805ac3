import { withDeadline } from "../../lib/service/clock.ts";
import type { FollowItem, SessionEvent, SessionEvents } from "../../lib/sessions/events/events.ts";
import { PATIENCE_MS } from "./wait.ts";

/** Follows the events of a service, item by item or event by event. */
export class Follower implements AsyncDisposable {
  readonly #items: AsyncIterator<FollowItem>;
  readonly #stop: AbortController;
  readonly #events: SessionEvent[] = [];

  private constructor(items: AsyncIterator<FollowItem>, stop: AbortController, readonly position: string) {
    this.#items = items;
    this.#stop = stop;
  }

  /** Follows from now on. */
  static async start({ events }: { events: SessionEvents }): Promise<Follower> {
    const stop = new AbortController();
    const items = events.follow(stop.signal)[Symbol.asyncIterator]();
    while (true) {
      const { value } = await withDeadline(items.next(), PATIENCE_MS, "no position");
      if (value?.kind === "position") return new Follower(items, stop, value.id);
      if (value?.kind !== "lost") throw new Error(`expected a position, got ${value?.kind}`); // lost: it tries again
    }
  }

  async item(): Promise<FollowItem> {
    return (await withDeadline(this.#items.next(), PATIENCE_MS, "no item")).value!;
  }

  /** The next events, exactly so many. */
  async events(count: number): Promise<SessionEvent[]> {
    while (this.#events.length < count) {
      const item = await this.item();
      if (item.kind !== "events") throw new Error(`expected events, got ${item.kind}`);
      this.#events.push(...item.events);
    }
    return this.#events.splice(0, count);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SessionEvent> {
    while (true) yield* await this.events(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#items.return?.();
  }
}
