/** A tasks-server within the test, and a client that speaks bytes. */

import { withDeadline } from "../../lib/service/clock.ts";
import { type ServerOptions, TasksServer } from "../../lib/tasks/server.ts";
import { writeAll } from "./raw_websocket.ts";
import { PATIENCE_MS } from "./wait.ts";

/** A deadline that no test waits for: whoever is cut is cut for another reason, and nobody because the machine is slow. */
const FAR_MS = 10 * PATIENCE_MS;

/** A server on a free port of the loopback address, in which simulated durations are a hundredth; disposing stops it. */
export function startTasks(options: Partial<ServerOptions> = {}): TasksServer & AsyncDisposable {
  const server = new TasksServer({
    hostname: "127.0.0.1",
    port: 0,
    backlog: 1000,
    receivingBufferBytes: 1024,
    maxRequestBytes: 1024 * 1024,
    idleTimeoutMs: undefined,
    requestTimeoutMs: FAR_MS,
    writeTimeoutMs: FAR_MS,
    connectionBytes: 2 ** 26,
    maxConnections: 1000,
    queue: { maxWaiting: 10_000, maxWaitingBytes: 2 ** 26, maxKept: 10_000, maxKeptBytes: 2 ** 26 },
    taskTimeoutMs: FAR_MS,
    delayFactor: 0.01,
    ...options,
  });
  const stop = server.close.bind(server);
  let stopped: Promise<void> | undefined; // a test may have stopped it itself
  const close = (deadlineMs: number) => stopped ??= stop(deadlineMs);
  return Object.assign(server, { close, [Symbol.asyncDispose]: () => close(1_000) });
}

/** One connection, seen as the text that goes and comes. */
export class Peer implements Disposable {
  readonly #decoder = new TextDecoder(); // a character may arrive in two pieces
  #received = "";
  #ended = false;

  private constructor(readonly conn: Deno.TcpConn) {}

  static async connect(port: number, hostname = "127.0.0.1"): Promise<Peer> {
    return new Peer(await Deno.connect({ hostname, port }));
  }

  /** Sends text, or bytes, as they are. */
  async send(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    await writeAll(this.conn, bytes);
  }

  /** Sends a request as a line and waits for the next reply. */
  async ask(request: unknown): Promise<unknown> {
    await this.send(JSON.stringify(request) + "\n");
    return await this.reply();
  }

  /** The next reply. */
  async reply(): Promise<unknown> {
    return JSON.parse(await this.line());
  }

  /** The next line, without its end. */
  async line(): Promise<string> {
    let end: number;
    while ((end = this.#received.indexOf("\n")) === -1) {
      if (!await this.#receive()) throw new Error("the connection was closed instead of a reply");
    }
    const line = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + 1);
    return line;
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    while (await this.#receive());
    return this.#received;
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }

  async #receive(): Promise<boolean> {
    if (this.#ended) return false;
    const buffer = new Uint8Array(64 * 1024);
    // a server that closes while input lies unread resets the connection: an end like any other
    const reading = this.conn.read(buffer).catch((error) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    const length = await withDeadline(reading, PATIENCE_MS, "the server sent nothing");
    this.#ended = length === null;
    this.#received += this.#decoder.decode(buffer.subarray(0, length ?? 0), { stream: true });
    return !this.#ended;
  }
}
