/** One client: reads its requests, writes the replies in their order, bounded in both directions. */

import type { Clock } from "../service/clock.ts";
import { messageOf } from "../service/errors.ts";
import { type Dispatcher, hasEnded, TaskReply } from "./dispatcher.ts";
import { Framer } from "./framing.ts";
import { encode, parseRequest, ProtocolError } from "./protocol.ts";

/** Characters of unsent replies, sent or held back, from which on a client's requests are left unread. */
const MAX_UNSENT = 64 * 1024;

/** Replies held back, from which on a client's requests are left unread. */
const MAX_HELD = 1000;

const encoder = new TextEncoder();

export interface ConnectionOptions {
  /** Bytes per read. */
  receivingBufferBytes: number;
  /** The longest request. */
  maxRequestBytes: number;
  /** How long to wait for data from a client that waits for nothing itself; undefined means for ever. */
  idleTimeoutMs: number | undefined;
  /** How long one write may take before the client counts as gone. */
  writeTimeoutMs: number;
}

/** A reply whose turn has not come. */
interface HeldReply {
  /** The line to send; undefined until the task it waits for has ended. */
  line: (() => string) | undefined;
  /** Characters that it keeps in memory. */
  length: number;
  /** Stops listening for the end of its task. */
  drop?: () => void;
}

/**
 * The life of one connection, from `serve()` to the reason it resolves with.
 *
 * A reply that waits for a task holds back the replies to later requests, but not the requests: they take effect as they
 * come. All that is held is bounded; beyond the bound the client is not read until it has its replies.
 */
export class Connection {
  readonly #conn: Deno.Conn;
  readonly #options: ConnectionOptions;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  /** Replies that may be sent. */
  #ready = "";
  /** Replies behind one that waits, in order; the first one waits. */
  readonly #held: HeldReply[] = [];
  #heldLength = 0;
  /** The writer at work, if any. */
  #writing: Promise<void> | undefined;
  #writeStartedAtMs: number | undefined;
  /** When the client last sent something or got something. */
  #activeAtMs: number;
  /** Wakes the reader, which waits for the first held reply. */
  #wake: (() => void) | undefined;
  #closed = false;
  #endReason: string | undefined;

  /** @param id Tells this connection from all others of the server. */
  constructor(
    conn: Deno.Conn,
    readonly id: number,
    dispatcher: Dispatcher,
    options: ConnectionOptions,
    clock: Clock,
  ) {
    this.#conn = conn;
    this.#dispatcher = dispatcher;
    this.#options = options;
    this.#clock = clock;
    this.#activeAtMs = clock.nowMs();
  }

  /** The client's address, as `host:port`. */
  get peer(): string {
    const { hostname, port } = this.#conn.remoteAddr as Deno.NetAddr;
    return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  }

  /**
   * Serves the client until it leaves, breaks the protocol or is cut.
   *
   * @returns why the server closed the connection; undefined where the client did.
   */
  async serve(): Promise<string | undefined> {
    try {
      await this.#readRequests();
      while (this.#held.length > 0) await this.#progress(); // half closed: it still gets its replies
      await this.#flush();
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#endReason ??= error.message;
        await this.#flush()?.catch(() => {}); // the replies to what came before
      } else if (!isGone(error)) {
        this.#endReason ??= messageOf(error);
      }
    } finally {
      for (const { drop } of this.#held) drop?.();
      this.cut();
    }
    return this.#endReason;
  }

  /** Cuts a client that let a deadline pass; to be called every now and then. */
  checkDeadlines(): void {
    const { idleTimeoutMs, writeTimeoutMs } = this.#options;
    const nowMs = this.#clock.nowMs();
    if (this.#writeStartedAtMs !== undefined) {
      if (nowMs - this.#writeStartedAtMs > writeTimeoutMs) {
        this.cut(`it did not read its replies for ${writeTimeoutMs / 1000} s`);
      }
    } else if (idleTimeoutMs !== undefined && this.#held.length === 0) {
      if (nowMs - this.#activeAtMs > idleTimeoutMs) this.cut(`it sent nothing for ${idleTimeoutMs / 1000} s`);
    }
  }

  /** Sends the replies that are ready, then closes. */
  async finish(): Promise<void> {
    await this.#flush()?.catch(() => {});
    this.cut();
  }

  /** Closes at once. Safe to call again. */
  cut(reason?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endReason ??= reason;
    this.#conn.close();
    this.#wake?.();
  }

  async #readRequests(): Promise<void> {
    const framer = new Framer(this.#options.maxRequestBytes);
    const buffer = new Uint8Array(this.#options.receivingBufferBytes);
    for (;;) {
      const length = await this.#conn.read(buffer);
      if (length === null) break;
      this.#activeAtMs = this.#clock.nowMs();
      framer.feed(buffer.subarray(0, length));
      for (let text = framer.next(); text !== undefined; text = framer.next()) {
        this.#reply(text);
        while (this.#isFull()) await this.#progress();
      }
      await this.#flush(); // all replies to one read leave in one write
    }
    framer.end();
  }

  #reply(text: string): void {
    const answer = this.#dispatcher.answer(parseRequest(text), this.id);
    if (answer instanceof TaskReply) {
      if (answer.waits || this.#held.length > 0) this.#hold(answer);
      else this.#ready += encode(answer.reply());
    } else if (this.#held.length > 0) {
      const line = encode(answer);
      this.#held.push({ line: () => line, length: line.length });
      this.#heldLength += line.length;
    } else {
      this.#ready += encode(answer);
    }
  }

  /** Keeps a reply until its turn has come, and until its task has ended where it waits for that. */
  #hold({ task, waits, reply }: TaskReply): void {
    const line = () => encode(reply()); // not before its turn: a thousand may wait for the same large result
    const held: HeldReply = { line: waits ? undefined : line, length: task.result?.length ?? 0 };
    this.#held.push(held);
    this.#heldLength += held.length;
    if (hasEnded(task)) return;
    held.drop = this.#dispatcher.queue.onEnd(task, ({ result }) => {
      held.drop = undefined;
      held.line = line;
      held.length = result?.length ?? 0;
      this.#heldLength += held.length;
      if (this.#held[0] !== held) return;
      this.#flush()?.catch(() => this.cut());
      this.#wake?.();
    });
  }

  #isFull(): boolean {
    return this.#ready.length > MAX_UNSENT || this.#heldLength > MAX_UNSENT || this.#held.length >= MAX_HELD;
  }

  /**
   * Waits until something was sent.
   *
   * @throws {Deno.errors.Interrupted} when the connection was cut.
   */
  async #progress(): Promise<void> {
    await (this.#flush() ?? new Promise<void>((resolve) => this.#wake = resolve));
    if (this.#closed) throw new Deno.errors.Interrupted("the connection was cut");
  }

  /** Sends what is ready; one writer at a time, which takes along what becomes ready meanwhile. */
  #flush(): Promise<void> | undefined {
    if (this.#writing === undefined) {
      this.#takeHeld();
      if (this.#ready !== "") this.#writing = this.#write();
    }
    return this.#writing;
  }

  async #write(): Promise<void> {
    try {
      do {
        const bytes = encoder.encode(this.#ready);
        this.#ready = "";
        for (let sent = 0; sent < bytes.length;) {
          this.#writeStartedAtMs = this.#clock.nowMs();
          sent += await this.#conn.write(bytes.subarray(sent)); // may take a part only
        }
        this.#activeAtMs = this.#clock.nowMs();
        this.#takeHeld();
      } while (this.#ready !== "");
    } finally {
      this.#writeStartedAtMs = undefined;
      this.#writing = undefined;
    }
  }

  /** Makes held replies ready as far as they are known, a bounded amount at a time. */
  #takeHeld(): void {
    while (this.#held[0]?.line !== undefined && this.#ready.length <= MAX_UNSENT) {
      const { line, length, drop } = this.#held.shift()!;
      drop?.();
      this.#ready += line!();
      this.#heldLength -= length;
    }
  }
}

/** Whether an error only says that the connection is over. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted;
}
