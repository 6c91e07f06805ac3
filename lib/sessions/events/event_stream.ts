/** `/sessions` as server-sent events: one live feed for all its readers. */

import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../service/errors.ts";
import { getLogger } from "../../service/log.ts";
import {
  type Chunk,
  encodeBeat,
  encodeEvents,
  encodeLive,
  encodePage,
  encodePaused,
  encodeRetry,
  encodeSnapshot,
} from "./event_format.ts";
import type { SessionEntry } from "../session_entry.ts";
import type { SessionEvent, SessionEvents } from "./events.ts";

const log = getLogger(["solo", "events"]);

/** Events within this time travel together. */
const GATHER_MS = 50;

/** How many events of the history are sent at once. */
const HISTORY_CHUNK = 500;

/** The wait before the registry is asked again after it failed in a way that it does not know itself. */
const RETRY_MS = 1000;

export interface EventStreamOptions {
  /** All established sessions, page by page. */
  list: () => AsyncIterable<SessionEntry[]>;
  events: SessionEvents;
  /** A reader that has not taken what is ready for it for this long is cut. @default 30_000 */
  stallMs?: number;
  /** How often a reader hears that the server is there. @default 10_000 */
  beatMs?: number;
  /** How much of the recent past is kept for all readers together; one that falls behind it is cut. @default 8 MiB */
  maxBytes?: number;
  /** A reader was too slow. */
  onCut?: () => void;
}

/**
 * The events of the service, for any number of readers of this process.
 *
 * Each batch of events is encoded once and kept for a while; a reader is a place in that recent past and has no buffer
 * of its own. While there is no reader, nothing is followed.
 */
export class EventStream {
  readonly #list: () => AsyncIterable<SessionEntry[]>;
  readonly #events: SessionEvents;
  readonly #stallMs: number;
  readonly #beatMs: number;
  readonly #maxBytes: number;
  readonly #onCut: () => void;
  readonly #readers = new Set<Reader>();
  #following: { stop: AbortController; beat: ReturnType<typeof setInterval> } | undefined;
  #recent: Recent | undefined;
  #changed = Promise.withResolvers<void>();
  #ended = false;

  constructor(options: EventStreamOptions) {
    this.#list = options.list;
    this.#events = options.events;
    this.#stallMs = options.stallMs ?? 30_000;
    this.#beatMs = options.beatMs ?? 10_000;
    this.#maxBytes = options.maxBytes ?? 8 * 1024 * 1024;
    this.#onCut = options.onCut ?? (() => {});
  }

  /** Readers that are being served. */
  get readers(): number {
    return this.#readers.size;
  }

  /**
   * The body of an answer.
   *
   * @param lastEventId What the reader has seen already; `""` for nothing.
   * @param onLeave Called once, when the reader has left or is cut; its connection may still be there.
   */
  open(lastEventId: string, onLeave: () => void = () => {}): ReadableStream<Uint8Array<ArrayBuffer>> {
    const place: Place = { left: false };
    const reader = new Reader(this.#chunks(lastEventId, place), place, () => {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#unfollow();
      onLeave();
    });
    this.#readers.add(reader);
    if (!this.#ended) this.#following ??= this.#follow();
    return new ReadableStream(reader, { highWaterMark: 0 });
  }

  /** Ends every answer; readers come back by themselves, to another process if the balancer says so. */
  end(): void {
    this.#ended = true;
    this.#wake();
    for (const reader of this.#readers) reader.end();
  }

  // ---- for all readers --------------------------------------------------------------------------------------------

  #follow(): { stop: AbortController; beat: ReturnType<typeof setInterval> } {
    const stop = new AbortController();
    const beat = setInterval(() => {
      this.#append(encodeBeat());
      this.#cut((reader) => reader.stalledMs > this.#stallMs);
    }, this.#beatMs);
    this.#run(stop.signal);
    return { stop, beat };
  }

  #unfollow(): void {
    clearInterval(this.#following?.beat);
    this.#following?.stop.abort();
    this.#following = undefined;
    this.#recent = undefined;
    this.#wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        let lost = false;
        for await (const item of this.#events.follow(signal)) {
          if (signal.aborted) return;
          if (item.kind === "position") {
            this.#recent = new Recent(this.#maxBytes, item.id);
            this.#wake();
          } else if (item.kind === "lost") {
            this.#append(encodePaused());
          } else {
            const id = item.events.at(-1)?.id;
            if (item.events.length > 0) this.#append(encodeEvents(item.events), id);
            if (lost) this.#append(encodeLive(this.#recent?.position ?? ""));
          }
          lost = item.kind === "lost";
          await delay(GATHER_MS, undefined, { signal });
        }
      } catch (error) {
        if (signal.aborted) return;
        log.error("cannot follow the events: {error}", { error: messageOf(error) });
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  #append(chunk: Chunk, id?: string): void {
    const recent = this.#recent;
    if (!recent) return;
    recent.append(chunk, id);
    this.#wake();
    this.#cut((reader) => reader.place.recent === recent && reader.place.next! < recent.first);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #cut(tooSlow: (reader: Reader) => boolean): void {
    for (const reader of [...this.#readers]) {
      if (!tooSlow(reader)) continue;
      log.warn("a reader of the events is too slow and is cut");
      this.#onCut();
      reader.cut();
    }
  }

  // ---- for one reader ---------------------------------------------------------------------------------------------

  async *#chunks(lastEventId: string, place: Place): AsyncGenerator<Chunk, void> {
    // a reader that was cut off waits a moment, and not all wait for the same one
    yield encodeRetry(500 + Math.floor(Math.random() * 1000));
    let seen = lastEventId;
    while (!this.#ended && !place.left) {
      const recent = this.#recent;
      if (!recent) {
        await this.#changed.promise;
        continue;
      }
      place.recent = recent;
      place.next = recent.end;
      const start = recent.position;
      const missed = seen && await this.#events.between(seen, start);
      seen = "";
      if (missed) yield* encodeMany(missed);
      else yield* this.#snapshot();
      if (recent === this.#recent) yield encodeLive(start);
      while (recent === this.#recent && !this.#ended && !place.left) {
        const chunk = recent.at(place.next);
        if (chunk) {
          place.next++;
          yield chunk;
        } else await this.#changed.promise;
      }
    }
  }

  async *#snapshot(): AsyncGenerator<Chunk, void> {
    yield encodeSnapshot();
    for await (const page of this.#list()) yield encodePage(page);
  }
}

/** The last chunks, whose sizes together stay under a bound, each with a number that counts up from 0. */
class Recent {
  /** The number of the oldest chunk that is kept. */
  first = 0;
  readonly #chunks = new Map<number, Chunk>();
  #bytes = 0;
  #end = 0;

  /** @param position The id of the newest event that is in it, or was before it began. */
  constructor(readonly maxBytes: number, public position: string) {}

  /** The number of the next chunk. */
  get end(): number {
    return this.#end;
  }

  append(chunk: Chunk, id?: string): void {
    this.#chunks.set(this.#end++, chunk);
    this.#bytes += chunk.length;
    while (this.#bytes > this.maxBytes && this.first < this.#end - 1) {
      this.#bytes -= this.#chunks.get(this.first)!.length;
      this.#chunks.delete(this.first++);
    }
    if (id !== undefined) this.position = id;
  }

  at(number: number): Chunk | undefined {
    return this.#chunks.get(number);
  }
}

/** Where a reader stands. */
interface Place {
  recent?: Recent;
  /** The number of the chunk that it takes next. */
  next?: number;
  left: boolean;
}

/** The source of one answer's body. */
class Reader implements UnderlyingDefaultSource<Chunk> {
  readonly #chunks: AsyncGenerator<Chunk, void>;
  readonly #onLeave: () => void;
  #controller!: ReadableStreamDefaultController<Chunk>;
  /** Since when a chunk lies ready that has not been asked for. */
  #readySinceMs: number | undefined;

  constructor(chunks: AsyncGenerator<Chunk, void>, readonly place: Place, onLeave: () => void) {
    this.#chunks = chunks;
    this.#onLeave = onLeave;
  }

  /** For how long it has not asked for more. */
  get stalledMs(): number {
    return this.#readySinceMs === undefined ? 0 : performance.now() - this.#readySinceMs;
  }

  start(controller: ReadableStreamDefaultController<Chunk>): void {
    this.#controller = controller;
  }

  async pull(): Promise<void> {
    this.#readySinceMs = undefined;
    try {
      const { value, done } = await this.#chunks.next();
      if (this.place.left) return;
      if (done) return this.end();
      this.#controller.enqueue(value);
      this.#readySinceMs = performance.now();
    } catch (error) {
      log.debug("a reader of the events is sent away: {error}", { error: messageOf(error) });
      this.end(); // the store is out of reach in the middle of a listing: it comes back and starts again
    }
  }

  cancel(): void {
    this.#leave();
  }

  /** Ends the answer. What the system has taken over for sending is still sent, if the peer ever reads it. */
  end(): void {
    if (this.place.left) return;
    this.#leave();
    this.#controller.close();
  }

  /** Breaks the answer off. Where the transport can, it drops the connection with all that was not read. */
  cut(): void {
    if (this.place.left) return;
    this.#leave();
    this.#controller.error(new Error("the reader is too slow"));
  }

  #leave(): void {
    if (this.place.left) return;
    this.place.left = true;
    this.#chunks.return(undefined).catch(() => {});
    this.#onLeave();
  }
}

/** A long history in chunks that are sent one by one. */
function* encodeMany(events: SessionEvent[]): Generator<Chunk> {
  for (let i = 0; i < events.length; i += HISTORY_CHUNK) {
    yield encodeEvents(events.slice(i, i + HISTORY_CHUNK));
  }
}
