/** The tasks service on TCP: accepts clients, bounds their number, stops cleanly. */

import { type Clock, systemClock } from "../service/clock.ts";
import { messageOf } from "../service/errors.ts";
import { getLogger } from "../service/log.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Executor } from "./executor.ts";
import { type QueueLimits, TaskQueue } from "./queue.ts";

const log = getLogger(["solo", "tasks"]);

/** How long to wait after a failed accept; at the descriptor limit each one fails until a connection ends. */
const ACCEPT_PAUSE_MS = 100;

/** The longest time between two looks at the deadlines of connections. */
const MAX_TICK_MS = 1000;

/** How a server behaves. */
export interface ServerOptions extends ConnectionOptions {
  /** Where to listen; `localhost` means the loopback addresses of both IPv4 and IPv6. */
  hostname: string;
  /** The port; 0 for a free one. */
  port: number;
  /** Connections that the system holds until they are accepted. */
  backlog: number;
  /** Clients at a time; the surplus is refused. */
  maxConnections: number;
  /** How much the queue holds. */
  queue: QueueLimits;
  /** How long a task may execute. */
  taskTimeoutMs: number;
  /** Multiplies the simulated durations. @default 1 */
  delayFactor?: number;
  /** Where the time comes from. @default systemClock */
  clock?: Clock;
}

/** A running server: listens from its construction to `close()`. */
export class TasksServer {
  /** Where it listens, as `host:port`. */
  readonly addresses: readonly string[];
  /** The port it listens on. */
  readonly port: number;
  readonly #options: ServerOptions;
  readonly #listeners: Deno.TcpListener[];
  /** The clients, each with the promise of its end. */
  readonly #connections = new Map<Connection, Promise<void>>();
  readonly #executor: Executor;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #ticker: ReturnType<typeof setInterval>;
  readonly #closing = new AbortController();
  readonly #ended: Promise<unknown>;
  #lastConnection = 0;
  #refused = 0;
  #lastRefused = "";

  /**
   * Starts to listen.
   *
   * @throws the error of `Deno.listen` where it cannot.
   */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startedAtMs = this.#clock.nowMs();
    this.#listeners = listen(options);
    this.port = this.#listeners[0]!.addr.port;
    this.addresses = this.#listeners.map(({ addr }) => addressText(addr));
    const queue = new TaskQueue(options.queue, this.#clock);
    this.#executor = new Executor(queue, options);
    this.#dispatcher = new Dispatcher(queue, this.#executor, this);
    const shortestMs = Math.min(options.writeTimeoutMs, options.idleTimeoutMs ?? Infinity);
    this.#ticker = setInterval(() => this.#tick(), Math.max(1, Math.min(shortestMs / 10, MAX_TICK_MS)));
    this.#ended = Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
  }

  /** Clients connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Milliseconds since the start. */
  get uptimeMs(): number {
    return this.#clock.nowMs() - this.#startedAtMs;
  }

  /**
   * Stops: no new clients, the replies that are ready are sent, all connections are closed. Tasks end with the server.
   *
   * @param deadlineMs How long clients have to read their replies.
   */
  async close(deadlineMs: number): Promise<void> {
    this.#closing.abort();
    for (const listener of this.#listeners) listener.close();
    const timer = setTimeout(() => {
      for (const connection of this.#connections.keys()) connection.cut("it did not read its last replies");
    }, deadlineMs);
    for (const connection of this.#connections.keys()) connection.finish();
    await Promise.all([...this.#connections.values(), this.#ended]);
    clearTimeout(timer);
    clearInterval(this.#ticker);
    this.#executor[Symbol.dispose]();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    // not `for await (… of listener)`, which ends for good at the descriptor limit
    while (!this.#closing.signal.aborted) {
      let conn: Deno.TcpConn;
      try {
        conn = await listener.accept();
      } catch (error) {
        if (this.#closing.signal.aborted) break;
        log.error("cannot accept a connection: {error}", { error: messageOf(error) });
        await pause(ACCEPT_PAUSE_MS, this.#closing.signal);
        continue;
      }
      this.#welcome(conn);
    }
  }

  #welcome(conn: Deno.TcpConn): void {
    const id = ++this.#lastConnection;
    const connection = new Connection(conn, id, this.#dispatcher, this.#options, this.#clock);
    if (this.#connections.size >= this.#options.maxConnections) {
      this.#refused++;
      this.#lastRefused = connection.peer;
      connection.cut();
      return;
    }
    conn.setNoDelay(); // replies are whole when they are written
    const { peer } = connection;
    log.debug("{peer} connected", { peer });
    const end = connection.serve().then((reason) => {
      this.#connections.delete(connection);
      if (reason === undefined) log.debug("{peer} left", { peer });
      else log.warning("closed {peer}: {reason}", { peer, reason });
    });
    this.#connections.set(connection, end);
  }

  #tick(): void {
    for (const connection of this.#connections.keys()) connection.checkDeadlines();
    if (this.#refused === 0) return;
    // once a tick, so that a flood of connections is not a flood of lines
    log.warning("refused {count} connections, the last from {peer}: {limit} are open (--max-connections)", {
      count: this.#refused,
      peer: this.#lastRefused,
      limit: this.#options.maxConnections,
    });
    this.#refused = 0;
  }
}

/**
 * Listens on an address. `localhost` is 127.0.0.1 and, where the machine has it, ::1: programs differ in which of them
 * they try, and `Deno.listen` takes only the first that the name resolves to.
 */
function listen({ hostname, port, backlog }: ServerOptions): Deno.TcpListener[] {
  if (hostname !== "localhost") return [Deno.listen({ hostname, port, tcpBacklog: backlog })];
  const first = Deno.listen({ hostname: "127.0.0.1", port, tcpBacklog: backlog });
  try {
    return [first, Deno.listen({ hostname: "::1", port: first.addr.port, tcpBacklog: backlog })];
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) return [first]; // no IPv6 here
    first.close();
    throw error;
  }
}

function addressText({ hostname, port }: Deno.NetAddr): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
