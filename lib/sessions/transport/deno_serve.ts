import { setTimeout as delay } from "node:timers/promises";
import { withDeadline } from "../../service/clock.ts";
import { addressText } from "../../service/address.ts";
import { messageOf } from "../../service/errors.ts";
import { getLogger } from "../../service/log.ts";
import { Attention, ticks } from "./attention.ts";
import { DenoConnection } from "./deno_connection.ts";
import { listenOnEach } from "./listen_on_each.ts";
import { text } from "./text.ts";
import {
  CLOSE_TIMEOUT_MS,
  HEARTBEAT_MS,
  type RequestInfo,
  type Transport,
  type TransportOptions,
  Upgrade,
} from "./transport.ts";

const log = getLogger(["solo", "transport"]);

/** Half of this after the last frame the platform sends PING, and closes with 1001 when all of it has passed. */
const IDLE_TIMEOUT_S = 2 * HEARTBEAT_MS / 1000;

/** The wait before listening again after the platform has stopped to accept, as it does at the descriptor limit. */
const RELISTEN_MS = 100;

/**
 * A socket that is not open this long after its upgrade never will be. The platform (Deno 2.9.6) fires no event and
 * keeps the descriptor when a peer resets the connection between its request and our answer: its upgrade waits on a
 * channel of which it holds the other end itself, and the connection with it. No handle to either can be reached, and
 * `request.signal`, which knows of some of these resets, does so too late. A connection that ends in order at that moment
 * costs none.
 */
const OPEN_TICKS = ticks(10_000);

const CLOSE_TICKS = ticks(CLOSE_TIMEOUT_MS);

/** When more than this share of the connections that may be open is lost for good, the process should be replaced. */
const WORN_OUT = 0.1;

/** `Deno.serve` with `Deno.upgradeWebSocket`, for where only this machine can connect: docs/operations.md says why. */
export class DenoTransport implements Transport {
  readonly name = "deno";
  readonly addresses: string[] = [];
  readonly attention: Attention;
  readonly #options: TransportOptions;
  readonly #servers = new Map<string, Deno.HttpServer>();
  /** All whose upgrade has begun and that are not gone or lost. */
  readonly #connections = new Set<DenoConnection>();
  /** Those whose upgrade has begun and not ended, the oldest first. */
  readonly #opening = new Set<DenoConnection>();
  /** Those that have not answered a close frame, the oldest first. */
  readonly #closing = new Set<DenoConnection>();
  #port: number;
  #lost = 0;
  #isWornOut = false;
  #closed = false;

  private constructor(options: TransportOptions) {
    this.#options = options;
    this.#port = options.port;
    this.attention = new Attention({
      maxMessages: options.maxMessages,
      onAwake: options.onAwake,
      onTick: () => this.#onTick(),
    });
  }

  /**
   * Listens.
   *
   * @throws {ProgramError} when it cannot listen there.
   */
  static listen(options: TransportOptions): Promise<DenoTransport> {
    const transport = new DenoTransport(options);
    return listenOnEach(transport, options, (hostname) => {
      transport.#listenOn(hostname);
      transport.addresses.push(addressText(hostname, transport.#port));
    });
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get lost(): number {
    return this.#lost;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.attention[Symbol.dispose]();
    for (const connection of this.#connections) {
      if (!this.#opening.has(connection)) connection.terminate();
    }
    // waits for answers that are being sent
    const stopped = [...this.#servers.values()].map((server) => server.shutdown());
    await withDeadline(Promise.all(stopped), CLOSE_TIMEOUT_MS, "answers are not sent").catch(() => {});
  }

  onOpen(connection: DenoConnection): void {
    this.#opening.delete(connection);
  }

  onClosing(connection: DenoConnection): void {
    this.#closing.add(connection);
  }

  onGone(connection: DenoConnection): void {
    this.#opening.delete(connection);
    this.#closing.delete(connection);
    this.#connections.delete(connection);
  }

  #listenOn(hostname: string): void {
    const server = Deno.serve({
      hostname,
      port: this.#port,
      onListen: ({ port }) => this.#port = port,
      onError: (error) => {
        log.error("cannot answer a request: {error}", { error });
        return text(500, "internal error, see the log of the server");
      },
      // Nobody looks at a request's signal: "no-legacy-abort" in deno.json spares its error per request, which was a
      // quarter of what an upgrade costs.
    }, (request, info) => this.#handle(request, info));
    this.#servers.set(hostname, server);
    server.finished.catch((error) => this.#listenAgain(hostname, error));
  }

  /** At the descriptor limit the platform stops to accept; the sockets that are open live on. */
  async #listenAgain(hostname: string, error: unknown): Promise<void> {
    log.error("stopped to accept: {error}; trying again", { error: messageOf(error) });
    while (!this.#closed) {
      await delay(RELISTEN_MS);
      try {
        this.#listenOn(hostname);
        log.info("accepting again on {address}", { address: addressText(hostname, this.#port) });
        return;
      } catch {
        // still no descriptor for the listener
      }
    }
  }

  #handle(request: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response> {
    const result = this.#options.handler(request, new Info(info as Deno.ServeHandlerInfo<Deno.NetAddr>));
    // without a turn between where there is nothing to wait for
    if (result instanceof Promise) return result.then((result) => this.#answer(request, result));
    return this.#answer(request, result);
  }

  #answer(request: Request, result: Response | Upgrade): Response {
    if (result instanceof Response) return result;
    const { listener, protocol } = result;
    // a list without spaces behind its commas, as the npm package ws sends it, is one word to the platform (Deno 2.9.6)
    const offered = protocol === undefined ? null : request.headers.get("sec-websocket-protocol");
    const isHidden = protocol !== undefined && !offered?.split(", ").includes(protocol);
    let upgrade: Deno.WebSocketUpgrade;
    try {
      upgrade = Deno.upgradeWebSocket(request, {
        idleTimeout: IDLE_TIMEOUT_S,
        protocol: isHidden ? undefined : protocol,
      });
      if (isHidden) upgrade.response.headers.set("sec-websocket-protocol", protocol);
    } catch (error) {
      return text(400, messageOf(error)); // a handshake that only the platform finds fault with
    }
    const connection = new DenoConnection(this, upgrade.socket, listener);
    this.#connections.add(connection);
    this.#opening.add(connection);
    return upgrade.response;
  }

  #onTick(): void {
    const { tick, calm } = this.attention;
    for (const connection of this.#closing) {
      if (calm - connection.since < CLOSE_TICKS) break; // the rest is younger
      this.#closing.delete(connection);
      connection.terminate();
    }
    let lost = 0;
    for (const connection of this.#opening) {
      if (tick - connection.since < OPEN_TICKS) break;
      this.#opening.delete(connection);
      this.#connections.delete(connection);
      lost++;
    }
    if (lost > 0) this.#onLost(lost);
  }

  #onLost(lost: number): void {
    this.#lost += lost;
    log.warn(
      "{lost} peers reset the connection during the upgrade; {total} descriptors are lost until the restart",
      {
        lost,
        total: this.#lost,
      },
    );
    if (this.#isWornOut || this.#lost <= this.#options.maxConnections * WORN_OUT) return;
    this.#isWornOut = true;
    this.#options.onWornOut();
  }
}

/** What Deno tells of a request, looked at only by who asks. */
class Info implements RequestInfo {
  readonly #info: Deno.ServeHandlerInfo<Deno.NetAddr>;

  constructor(info: Deno.ServeHandlerInfo<Deno.NetAddr>) {
    this.#info = info;
  }

  get remoteAddress(): string {
    return this.#info.remoteAddr.hostname;
  }

  get completed(): Promise<void> {
    return this.#info.completed;
  }
}
