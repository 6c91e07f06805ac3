/** One client: reads its requests, writes the replies in their order, bounded in both directions. */

import type { Clock } from "../service/clock.ts";
import { messageOf } from "../service/errors.ts";
import type { ConnectionMemory, Holder } from "./connection_memory.ts";
import { type Dispatcher, TaskReply } from "./dispatcher.ts";
import type { EndReason } from "./end_reason.ts";
import { Framer } from "./framing.ts";
import { HeldReplies, resultBytes, textBytes } from "./held_replies.ts";
import {
  encode,
  encodePieces,
  isLong,
  MAX_REQUEST_VALUES,
  parseRequest,
  ProtocolError,
  UnknownTask,
} from "./protocol.ts";
import type { Task } from "./queue.ts";
import { callInTurn, NEVER, thisTurn, turnOf } from "./turns.ts";

/** Characters of unsent replies from which on they are sent, and a client's requests are left unread meanwhile. */
const MAX_UNSENT = 16 * 1024;

/** Requests of one client that are answered before the others have their turn. A read of the default size holds fewer. */
const MAX_REQUESTS_A_TURN = 64;

const encoder = new TextEncoder();

export interface ConnectionOptions {
  /** Bytes per read. */
  receivingBufferBytes: number;
  /** The longest request. */
  maxRequestBytes: number;
  /** How long a request may take from its first byte to its last. */
  requestTimeoutMs: number;
  /** How long to wait for data from a client that waits for nothing itself; undefined means for ever. */
  idleTimeoutMs: number | undefined;
  /** How long one write may take before the client counts as gone. */
  writeTimeoutMs: number;
}

/** What all connections of a server share. */
export interface ConnectionContext {
  readonly dispatcher: Dispatcher;
  readonly memory: ConnectionMemory;
  readonly options: ConnectionOptions;
  readonly clock: Clock;
}

/**
 * The life of one connection, from `serve()` to the reason it resolves with.
 *
 * A reply that waits for a task holds back the replies to later requests, but not the requests: they take effect as they
 * come. All that is held is bounded, for one connection and for all together; beyond the bound the client is not read
 * until it has its replies. After each flush the others have their turn.
 */
export class Connection implements Holder {
  readonly #conn: Deno.Conn;
  readonly #context: ConnectionContext;
  readonly #framer: Framer;
  /** Replies behind one that waits. */
  readonly #held: HeldReplies;
  /** Replies that may be sent. */
  #ready = "";
  /** The rest of a long reply behind them, and the task that it tells of. */
  #rest: { pieces: Iterator<string>; task: Task } | undefined;
  /** What the writer has in hand. */
  #writingBytes = 0;
  /** The writer at work, if any. */
  #writing: Promise<void> | undefined;
  /** Counters that stand still while the client does: a look at the clock at each step would be 4 % of a request. */
  #reads = 0;
  #writes = 0;
  #requests = 0;
  readonly #writeStandstill = new Standstill();
  readonly #requestStandstill = new Standstill();
  readonly #clientStandstill = new Standstill();
  /** The turn of the event loop in which it was last served. */
  #servedInTurn = NEVER;
  /** Wakes the reader, which waits for the first held reply. */
  #wake: (() => void) | undefined;
  #heldBytes = 0;
  #closed = false;
  #endReason: EndReason | undefined;

  /** @param id Tells this connection from all others of the server. */
  constructor(conn: Deno.Conn, readonly id: number, context: ConnectionContext) {
    this.#conn = conn;
    this.#context = context;
    this.#framer = new Framer(context.options.maxRequestBytes, MAX_REQUEST_VALUES);
    this.#held = new HeldReplies(context.dispatcher.queue, (firstIsReady) => this.#onTaskEnd(firstIsReady));
  }

  /** The client's address, as `host:port`. */
  get peer(): string {
    const { hostname, port } = this.#conn.remoteAddr as Deno.NetAddr;
    return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  }

  /** What it makes the server hold: a begun request, and replies that are held back or not yet with the system. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Serves the client until it leaves, breaks the protocol or is cut.
   *
   * @returns why the server closed the connection; undefined where the client did.
   */
  async serve(): Promise<EndReason | undefined> {
    try {
      await this.#readRequests();
      while (this.#held.length > 0) await this.#progress(); // half closed: it still gets its replies
      await this.#flush();
    } catch (error) {
      if (error instanceof ProtocolError) {
        const kind = error instanceof UnknownTask ? "unknown-task" : "protocol";
        this.#endReason ??= { kind, text: error.message };
        await this.#flush()?.catch(() => {}); // the replies to what came before
      } else if (!isGone(error)) {
        this.#endReason ??= { kind: "failure", text: messageOf(error) };
      }
    } finally {
      this.cut();
    }
    return this.#endReason;
  }

  /** Cuts a client that let a deadline pass, and counts again what is held; to be called every now and then. */
  check(): void {
    if (this.#rest !== undefined) this.#account(); // the queue may have forgotten its task
    const { idleTimeoutMs = Infinity, requestTimeoutMs, writeTimeoutMs } = this.#context.options;
    const nowMs = this.#context.clock.nowMs();
    if (this.#writing !== undefined) {
      if (this.#writeStandstill.lengthMs(this.#writes, nowMs) > writeTimeoutMs) {
        this.cut({ kind: "slow-reader", text: `it did not read its replies for ${writeTimeoutMs / 1000} s` });
      }
      return;
    }
    // time in which its replies were being sent, so that it was not read, does not count
    const requestMs = this.#requestStandstill.lengthMs(this.#requests + this.#writes, nowMs);
    const clientMs = this.#clientStandstill.lengthMs(this.#reads + this.#writes, nowMs);
    if (this.#framer.hasBegun && requestMs > requestTimeoutMs) {
      this.cut({
        kind: "slow-request",
        text: `its request was not complete in ${requestTimeoutMs / 1000} s`,
      });
    } else if (this.#held.length === 0 && clientMs > idleTimeoutMs) {
      this.cut({ kind: "idle", text: `it sent nothing for ${idleTimeoutMs / 1000} s` });
    }
  }

  /** Sends the replies that are ready, then closes. */
  async finish(): Promise<void> {
    await this.#flush()?.catch(() => {});
    this.cut();
  }

  /** Closes at once and lets go of all that is held. Safe to call again. */
  cut(reason?: EndReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endReason ??= reason;
    this.#conn.close();
    this.#framer.drop();
    this.#held.drop();
    this.#ready = "";
    this.#rest = undefined;
    this.#writingBytes = 0;
    this.#account();
    this.#wake?.();
  }

  /** Cuts this client, since all of them hold too much and it holds most. */
  release(): void {
    const mib = (this.#heldBytes / 1024 / 1024).toFixed(1);
    this.cut({
      kind: "memory",
      text: `it held most, ${mib} MiB, when all held too much (--connection-bytes)`,
    });
  }

  async #readRequests(): Promise<void> {
    const framer = this.#framer;
    const buffer = new Uint8Array(this.#context.options.receivingBufferBytes);
    for (;;) {
      const length = await this.#conn.read(buffer);
      if (length === null) break;
      this.#reads++;
      if (!framer.hasBegun) this.#requests++; // one begins, as far as the time for it goes
      await this.#waitForTurn();
      framer.feed(buffer.subarray(0, length));
      for (let text = framer.next(); text !== undefined; text = framer.next()) {
        this.#reply(text);
        while (this.#isFull()) await this.#progress();
        this.#throwIfClosed();
        if (++this.#requests % MAX_REQUESTS_A_TURN === 0) await this.#waitForTurn();
      }
      const flushed = this.#flush(); // all replies to one read leave in one write
      if (flushed !== undefined) await flushed;
      else this.#account();
    }
    framer.end();
  }

  #reply(text: string): void {
    const answer = this.#context.dispatcher.answer(parseRequest(text), this.id);
    if (answer instanceof TaskReply) {
      if (answer.waits || this.#held.length > 0) this.#held.add(answer);
      else this.#makeReady(answer);
    } else if (this.#held.length > 0) {
      this.#held.addLine(encode(answer));
    } else {
      this.#ready += encode(answer);
    }
  }

  #makeReady({ task, reply }: TaskReply): void {
    const made = reply();
    if (isLong(made)) this.#rest = { pieces: encodePieces(made), task };
    else this.#ready += encode(made);
  }

  /** A task has ended that a held reply tells of. */
  #onTaskEnd(firstIsReady: boolean): void {
    this.#account();
    if (!firstIsReady) return;
    callInTurn(() => {
      this.#flush()?.catch(() => this.cut());
      this.#wake?.();
    });
  }

  #isFull(): boolean {
    return this.#ready.length > MAX_UNSENT || this.#rest !== undefined || this.#held.isFull;
  }

  /**
   * Waits until something was sent.
   *
   * @throws {Deno.errors.Interrupted} when the connection was cut.
   */
  async #progress(): Promise<void> {
    this.#account();
    this.#throwIfClosed(); // it may be itself who holds too much
    await (this.#flush() ?? new Promise<void>((resolve) => this.#wake = resolve));
    this.#wake = undefined;
    this.#throwIfClosed();
    await this.#waitForTurn();
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new Deno.errors.Interrupted("the connection was cut");
  }

  /** Waits until it may be served (again). */
  async #waitForTurn(): Promise<void> {
    await turnOf(this.#servedInTurn);
    this.#servedInTurn = thisTurn();
  }

  /** Sends what is ready; one writer at a time, which takes along what becomes ready meanwhile. */
  #flush(): Promise<void> | undefined {
    if (this.#writing === undefined) {
      this.#takeNext();
      if (this.#ready !== "") this.#writing = this.#write();
    }
    return this.#writing;
  }

  async #write(): Promise<void> {
    try {
      for (;;) {
        const bytes = encoder.encode(this.#ready);
        this.#ready = "";
        this.#writingBytes = bytes.length;
        this.#account();
        for (let sent = 0; sent < bytes.length;) {
          this.#writes++;
          sent += await this.#conn.write(bytes.subarray(sent)); // may take a part only
        }
        this.#writingBytes = 0;
        this.#writes++;
        this.#takeNext();
        if (this.#ready === "") break;
        await this.#waitForTurn();
      }
    } finally {
      this.#writing = undefined;
      this.#account();
    }
  }

  /** Makes ready what comes next, a bounded amount at a time: the rest of a long reply, held ones as far as they are known. */
  #takeNext(): void {
    while (this.#ready.length <= MAX_UNSENT) {
      if (this.#rest !== undefined) {
        const { value, done } = this.#rest.pieces.next();
        if (done) this.#rest = undefined;
        else this.#ready += value;
        continue;
      }
      const next = this.#held.take();
      if (next === undefined) break;
      if (typeof next === "string") this.#ready += next;
      else this.#makeReady(next);
    }
  }

  /** What the rest of a long reply takes: nothing while the queue keeps the result anyway. */
  #restBytes(): number {
    if (this.#rest === undefined) return 0;
    const { task } = this.#rest;
    return this.#context.dispatcher.queue.get(task.id) === task ? 0 : resultBytes(task);
  }

  /** Says what is held now. */
  #account(): void {
    const bytes = this.#closed ? 0 : this.#framer.begunBytes + this.#held.bytes + textBytes(this.#ready) +
      this.#restBytes() + this.#writingBytes;
    const change = bytes - this.#heldBytes;
    if (change === 0) return;
    this.#heldBytes = bytes;
    this.#context.memory.change(change);
  }
}

/** How long something has stood still, as far as one can say who looks now and then. */
class Standstill {
  #mark = NaN;
  #sinceMs = 0;

  /** @param mark What changes with every step. */
  lengthMs(mark: number, nowMs: number): number {
    if (mark !== this.#mark) {
      this.#mark = mark;
      this.#sinceMs = nowMs;
    }
    return nowMs - this.#sinceMs;
  }
}

/** Whether an error only says that the connection is over. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted;
}
