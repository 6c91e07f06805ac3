import { withDeadline } from "../../service/clock.ts";
import type { RedisConnection, Reply } from "../redis_connection.ts";
import type { EventSource, RawEvent } from "./events.ts";

/** An entry of a stream as Redis tells it. */
type Entry = [id: string, fields: string[]];

/** How long a reader waits for an event before it asks again: so it notices a connection that is open and dead. */
const READ_WAIT_MS = 1000;

/**
 * A connection of its own, since waiting for events blocks it. Any method rejects when it has failed or is closed; it
 * does not mend itself, so that whoever reads knows to look whether something was missed.
 */
export class EventReader {
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #connection: RedisConnection;

  constructor({ connect, key, timeoutMs }: Pick<EventSource, "connect" | "key" | "timeoutMs">) {
    this.#key = key;
    this.#timeoutMs = timeoutMs;
    this.#connection = connect(() => {}); // whoever waits for an answer hears of its failure
  }

  async connected(): Promise<void> {
    await withDeadline(this.#connection.ready, this.#timeoutMs, "Redis did not answer");
  }

  async close(): Promise<void> {
    await this.#connection.destroy();
  }

  /** The id of the newest event. */
  async lastId(): Promise<string> {
    const [newest] = await this.#ask<Entry[]>(["XREVRANGE", this.#key, "+", "-", "COUNT", "1"]);
    return newest?.[0] ?? "0-0";
  }

  /** Whether the history still has an event. */
  async has(id: string): Promise<boolean> {
    return (await this.#ask<Entry[]>(["XRANGE", this.#key, id, id, "COUNT", "1"])).length > 0;
  }

  /** At most `count` events after the id; none when there are none for a while. */
  async read(after: string, count: number): Promise<RawEvent[]> {
    const reply = await this.#ask<[key: string, entries: Entry[]] | null>(
      ["XREAD", "COUNT", String(count), "BLOCK", String(READ_WAIT_MS), "STREAMS", this.#key, after],
      READ_WAIT_MS,
    );
    return (reply?.[1] ?? []).map(([id, fields]) => [id, fields[1] ?? ""]);
  }

  async #ask<T extends Reply>(command: string[], waitMs = 0): Promise<T> {
    const reply = this.#connection.send<T>(...command);
    return await withDeadline(reply, this.#timeoutMs + waitMs, "Redis did not answer");
  }
}
