/** A reader of `/sessions` as server-sent events, such as a program would be. */

import { withDeadline } from "../../lib/service/clock.ts";
import { TextLineStream } from "./lines.ts";
import { PATIENCE_MS } from "./wait.ts";

export interface Message {
  id?: string;
  event: string;
  // deno-lint-ignore no-explicit-any -- JSON of many shapes, each test knows its own
  data: any;
}

export class EventReader implements AsyncDisposable {
  /** client_id of the sessions that are established, by session_id, as far as was read. */
  readonly sessions = new Map<string, string>();
  lastEventId = "";
  readonly #messages: AsyncGenerator<Message>;
  #listing: Map<string, string> | undefined;

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#messages = parse(body);
  }

  static async connect(port: number, lastEventId?: string): Promise<EventReader> {
    const response = await fetch(`http://127.0.0.1:${port}/sessions`, {
      headers: { accept: "text/event-stream", ...(lastEventId && { "last-event-id": lastEventId }) },
    });
    if (!response.ok) throw new Error(`/sessions answered ${response.status}: ${await response.text()}`);
    return new EventReader(response.body!);
  }

  /** The next message, applied to `sessions`; `undefined` when the stream has ended. */
  async next(timeoutMs = PATIENCE_MS): Promise<Message | undefined> {
    const { value, done } = await withDeadline(this.#messages.next(), timeoutMs, "no event arrived");
    if (done) return undefined;
    this.lastEventId = value.id ?? this.lastEventId;
    this.#apply(value);
    return value;
  }

  /** Reads until a message for which `wanted` holds, and returns all up to it. */
  async until(wanted: (message: Message) => boolean, timeoutMs?: number): Promise<Message[]> {
    const messages: Message[] = [];
    while (true) {
      const message = await this.next(timeoutMs);
      if (!message) throw new Error(`the stream ended after ${messages.map(({ event }) => event)}`);
      messages.push(message);
      if (wanted(message)) return messages;
    }
  }

  /** Reads until all is said up to now. */
  live(): Promise<Message[]> {
    return this.until(({ event }) => event === "live");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#messages.return(undefined);
  }

  #apply({ event, data }: Message): void {
    switch (event) {
      case "snapshot":
        this.#listing = new Map();
        break;
      case "sessions":
        for (const { session_id, client_id } of data) this.#listing!.set(session_id, client_id);
        break;
      case "live":
        if (!this.#listing) break;
        this.sessions.clear();
        for (const [session, client] of this.#listing) this.sessions.set(session, client);
        this.#listing = undefined;
        break;
      case "opened":
        this.sessions.set(data.session_id, data.client_id);
        break;
      case "replaced":
      case "closed":
        this.sessions.delete(data.session_id);
    }
  }
}

async function* parse(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Message> {
  let fields: Record<string, string> = {};
  try {
    for await (const line of body.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      const [, name, value] = line.match(/^(\w+): (.*)$/) ?? [];
      if (name) fields[name] = value!;
      else if (line === "") {
        const { id, event, data } = fields;
        fields = {};
        if (event !== undefined && data !== undefined) yield { id, event, data: JSON.parse(data) };
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the process was killed: the stream ends
  }
}
