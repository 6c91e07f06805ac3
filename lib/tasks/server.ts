/** The tasks service on TCP: accepts clients, bounds their number, stops cleanly. */

import { addressText } from "../service/address.ts";
import { type Clock, systemClock } from "../service/clock.ts";
import { messageOf } from "../service/errors.ts";
import { getLogger } from "../service/log.ts";
import { Connection, type ConnectionContext, type ConnectionOptions } from "./connection.ts";
import { ConnectionMemory } from "./connection_memory.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Executor } from "./executor.ts";
import type { EndKind } from "./end_reason.ts";
import { type QueueLimits, type QueueObserver, TaskQueue } from "./queue.ts";
import { TroubleLog } from "./trouble_log.ts";
import { NEVER, turnOf } from "./turns.ts";

const log = getLogger(["solo", "tasks"]);

/** How long to wait after a failed accept; at the descriptor limit each one fails until a connection ends. */
const ACCEPT_PAUSE_MS = 100;

/** The longest time between two looks at the deadlines of connections. */
const MAX_TICK_MS = 1000;

/** Is told what happens in a server, to count it. */
export interface ServerObserver extends QueueObserver {
  /** A connection has ended, because the client left or for a reason. */
  onConnectionEnd(reason: EndKind | "left"): void;
  /** A connection was refused, since as many as may be were open. */
  onConnectionRefused(): void;
}

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
  /** What all connections together may make the server hold: begun requests and replies that wait. */
  connectionBytes: number;
  /** How much the queue holds. */
  queue: QueueLimits;
  /** How long the work of a task may take, beside its simulated duration. */
  taskTimeoutMs: number;
  /** Multiplies the simulated durations. @default 1 */
  delayFactor?: number;
  /** Where the time comes from. @default systemClock */
  clock?: Clock;
  /** Told what happens. */
  observer?: ServerObserver;
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
  readonly #queue: TaskQueue;
  readonly #executor: Executor;
  readonly #context: ConnectionContext;
  readonly #troubles: TroubleLog;
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #ticker: ReturnType<typeof setInterval>;
  readonly #closing = new AbortController();
  readonly #ended: Promise<unknown>;
  #lastConnection = 0;

  /**
   * Starts to listen.
   *
   * @throws the error of `Deno.listen` where it cannot.
   */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startedAtMs = this.#clock.nowMs();
    this.#troubles = new TroubleLog(this.#clock);
    this.#listeners = listen(options);
    this.port = this.#listeners[0]!.addr.port;
    this.addresses = this.#listeners.map(({ addr: { hostname, port } }) => addressText(hostname, port));
    this.#queue = new TaskQueue(options.queue, this.#clock, options.observer);
    this.#executor = new Executor(this.#queue, this.#clock, options);
    this.#context = {
      dispatcher: new Dispatcher(this.#queue, this.#executor, this),
      memory: new ConnectionMemory(options.connectionBytes, () => this.#connections.keys()),
      options,
      clock: this.#clock,
    };
    const { writeTimeoutMs, requestTimeoutMs, idleTimeoutMs = Infinity } = options;
    const shortestMs = Math.min(writeTimeoutMs, requestTimeoutMs, idleTimeoutMs);
    this.#ticker = setInterval(
      () => this.#check(),
      Math.max(1, Math.min(shortestMs / 10, MAX_TICK_MS)),
    );
    this.#ended = Promise.all(this.#listeners.map((listener) => this.#accept(listener)));
  }

  /** Clients connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Whether a client that comes now is served: not when the server stops, or has as many clients as it may. */
  get isReady(): boolean {
    return !this.#closing.signal.aborted && this.#connections.size < this.#options.maxConnections;
  }

  /** Tasks now, and the memory that their texts take. */
  get tasks(): Pick<TaskQueue, "counts" | "bytes"> {
    return this.#queue;
  }

  /** Memory now for begun requests and for replies that wait. */
  get connectionBytes(): number {
    return this.#context.memory.bytes;
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
      for (const connection of this.#connections.keys()) {
        connection.cut({ kind: "slow-reader", text: "it did not read its last replies" });
      }
    }, deadlineMs);
    for (const connection of this.#connections.keys()) connection.finish();
    await Promise.all([...this.#connections.values(), this.#ended]);
    clearTimeout(timer);
    clearInterval(this.#ticker);
    this.#troubles[Symbol.dispose]();
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
        this.#troubles.notAccepted(messageOf(error));
        await pause(ACCEPT_PAUSE_MS, this.#closing.signal);
        continue;
      }
      this.#welcome(conn);
      await turnOf(NEVER); // a rush of clients must not keep those waiting who are here
    }
  }

  #welcome(conn: Deno.TcpConn): void {
    const { maxConnections, observer } = this.#options;
    const connection = new Connection(conn, ++this.#lastConnection, this.#context);
    const { peer } = connection;
    if (this.#connections.size >= maxConnections) {
      connection.cut();
      this.#troubles.refused(peer, `${maxConnections} are open (--max-connections)`);
      observer?.onConnectionRefused();
      return;
    }
    conn.setNoDelay(); // replies are whole when they are written
    log.debug("{peer} connected", { peer });
    const end = connection.serve().then((reason) => {
      this.#connections.delete(connection);
      observer?.onConnectionEnd(reason?.kind ?? "left");
      if (reason === undefined) log.debug("{peer} left", { peer });
      else this.#troubles.closed(peer, reason);
    });
    this.#connections.set(connection, end);
  }

  #check(): void {
    for (const connection of this.#connections.keys()) connection.check();
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
