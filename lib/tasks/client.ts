import { DeadlineError } from "../service/clock.ts";
import { Framer } from "./framing.ts";
import { encode, parseReply, ProtocolError, type Reply, type Request } from "./protocol.ts";

/** Where the server is and what the client bears. */
export interface ConnectOptions {
  hostname: string;
  port: number;
  /** Ends the attempt to connect; has no effect on the connection. */
  signal?: AbortSignal;
  /** How long the attempt may take. @default 10_000 */
  connectTimeoutMs?: number;
  /** Bytes per read. @default 16_384 */
  bufferBytes?: number;
  /** The largest reply that is taken. @default 64 MiB */
  maxReplyBytes?: number;
}

/** The server closed the connection instead of a reply: its answer to what it does not take. */
export class ConnectionClosed extends Error {
  override readonly name = "ConnectionClosed";
}

interface Pending {
  type: Request["type"];
  resolve: (reply: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * One connection to a tasks-server.
 *
 * Requests may be made without waiting for the replies to earlier ones; each gets its own reply, in order. A request
 * that waits for a task (`wait: true`) holds up the replies to those after it, so ask other things elsewhere.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * // a server that knows one answer
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const served = listener.accept().then(async (conn) => {
 *   await conn.read(new Uint8Array(1024));
 *   await conn.write(new TextEncoder().encode('{"task_id":1}\n'));
 *   conn.close();
 *   listener.close();
 * });
 *
 * await using client = await TasksClient.connect({ hostname: "127.0.0.1", port: listener.addr.port });
 * const reply = await client.request({ type: "run", task_name: "revers", data: "hello" });
 * assert.deepEqual(reply, { task_id: 1 });
 * await served;
 * ```
 */
export class TasksClient implements AsyncDisposable {
  readonly #conn: Deno.TcpConn;
  /** Replies are framed as requests are: one object each. */
  readonly #framer: Framer;
  readonly #pending: Pending[] = [];
  readonly #reading: Promise<void>;
  #writing: Promise<void> = Promise.resolve();
  /** Why no reply will come any more. */
  #failure: unknown;

  private constructor(conn: Deno.TcpConn, bufferBytes: number, maxReplyBytes: number) {
    this.#conn = conn;
    this.#framer = new Framer(maxReplyBytes);
    this.#reading = this.#read(new Uint8Array(bufferBytes));
  }

  /**
   * Opens a connection.
   *
   * @throws {DeadlineError} when the server does not take the connection in time.
   * @throws what `Deno.connect` throws, and the reason of `signal`.
   */
  static async connect(options: ConnectOptions): Promise<TasksClient> {
    const { hostname, port, signal, connectTimeoutMs = 10_000, bufferBytes = 16_384 } = options;
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new DeadlineError(`no connection within ${connectTimeoutMs / 1000} s`)),
      connectTimeoutMs,
    );
    try {
      const either = signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal;
      const conn = await Deno.connect({ hostname, port, signal: either });
      conn.setNoDelay(true);
      return new TasksClient(conn, bufferBytes, options.maxReplyBytes ?? 64 * 1024 * 1024);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @param options.signal Ends the wait; the request stays sent, and its reply is passed over when it comes.
   * @throws {ConnectionClosed} when the server closes the connection instead.
   * @throws {ProtocolError} when what comes is no reply to this request.
   * @throws what reading from a connection throws, and the reason of the signal.
   */
  async request<T extends Request["type"]>(
    request: Extract<Request, { type: T }>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Reply<T>> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.push({ type: request.type, resolve, reject });
    this.#send(new TextEncoder().encode(encode(request)));
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await promise as Reply<T>;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Closes the connection. Requests still waiting for a reply are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#reading;
    await this.#writing;
  }

  /** One write after the other, each to its end. */
  #send(bytes: Uint8Array): void {
    this.#writing = this.#writing.then(async () => {
      for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
    }).catch(() => {}); // the reading side sees the end of the connection too, and knows more about it
  }

  async #read(buffer: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      for (let n; (n = await this.#conn.read(buffer)) !== null;) {
        this.#framer.feed(buffer.subarray(0, n));
        for (let text; (text = this.#framer.next()) !== undefined;) this.#deliver(text);
      }
      this.#framer.end();
      throw new ConnectionClosed("the server closed the connection without a reply");
    } catch (caught) {
      // what the server had not read when it closed turns the close into a reset
      const error = caught instanceof Deno.errors.ConnectionReset
        ? new ConnectionClosed("the server closed the connection without a reply", { cause: caught })
        : caught;
      this.#failure = error;
      for (const { reject } of this.#pending.splice(0)) reject(error);
      this.#close();
    }
  }

  #deliver(text: string): void {
    const request = this.#pending[0];
    if (!request) throw new ProtocolError("a reply that nothing asked for");
    const reply = parseReply(request.type, text); // before the removal: if it throws, this request is told as well
    this.#pending.shift();
    request.resolve(reply);
  }

  #close(): void {
    try {
      this.#conn.close();
    } catch {
      // is closed already
    }
  }
}
