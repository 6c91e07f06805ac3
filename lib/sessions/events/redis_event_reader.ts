import { RESP_TYPES } from "@redis/client";
import { withDeadline } from "../../service/clock.ts";
import { type Client, connect, eventRange, type RawEvent, rawEvent } from "../registry/redis/redis_store.ts";

/** How long a reader waits for an event before it asks again: so it notices a connection that is open and dead. */
const READ_WAIT_MS = 1000;

/**
 * A connection of its own, since waiting for events blocks it. Any method rejects when it has failed or is closed; it
 * does not mend itself, so that whoever reads knows to look whether something was missed.
 */
export class EventReader {
  readonly key: string;
  /** How long Redis may take to answer. */
  readonly timeoutMs: number;
  readonly #client: Client;
  #connecting: Promise<void> | undefined;

  constructor(source: { url: string; key: string; timeoutMs: number }) {
    this.key = source.key;
    this.timeoutMs = source.timeoutMs;
    this.#client = connect(source.url, () => {}, { mends: false }); // whoever waits for an answer hears of it
  }

  async connect(): Promise<void> {
    this.#connecting = this.#client.connect().then(() => {});
    await withDeadline(this.#connecting, this.timeoutMs, "Redis did not answer");
  }

  async close(): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy();
    await this.#connecting?.catch(() => {});
  }

  /** The id of the newest event. */
  async lastId(): Promise<string> {
    const [newest] = await this.#ask<[id: string, fields: string[]][]>([
      "XREVRANGE",
      this.key,
      "+",
      "-",
      "COUNT",
      "1",
    ]);
    return newest?.[0] ?? "0-0";
  }

  /** Whether the history still has an event. */
  async has(id: string): Promise<boolean> {
    const command = eventRange(this.#client, this.key, id, id, 1);
    return (await withDeadline(command, this.timeoutMs, "Redis did not answer")).length > 0;
  }

  /** At most `count` events after the id; none when there are none for a while. */
  async read(after: string, count: number): Promise<RawEvent[]> {
    const reply = await this.#ask<[key: string, entries: [string, string[]][]] | null>(
      ["XREAD", "COUNT", String(count), "BLOCK", String(READ_WAIT_MS), "STREAMS", this.key, after],
      READ_WAIT_MS,
    );
    return (reply?.[1] ?? []).map(rawEvent);
  }

  async #ask<T>(command: string[], waitMs = 0): Promise<T> {
    const reply = this.#client.sendCommand<T>(command, { typeMapping: { [RESP_TYPES.MAP]: Array } });
    return await withDeadline(reply, this.timeoutMs + waitMs, "Redis did not answer");
  }
}
