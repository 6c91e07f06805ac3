import { setTimeout as delay } from "node:timers/promises";
import { listenError, messageOf } from "../service/errors.ts";
import { getLogger } from "../service/log.ts";
import { ClientIdError, parseClientId } from "./client_id.ts";
import { CLOSE_CODES } from "./close_codes.ts";
import { EventStream, MAX_READERS } from "./events/event_stream.ts";
import { JSON_LISTING, listingStream, TEXT_LISTING } from "./http/listing.ts";
import type { Page } from "./http/page.ts";
import type { SessionEvents } from "./events/events.ts";
import { RegistryUnreachableError, type SessionRegistry } from "./registry/registry.ts";
import { CLOSE_TIMEOUT_MS, IDLE_TIMEOUT_S, Session, type SessionHost } from "./session.ts";

const log = getLogger(["solo", "server"]);

/** When a client that was refused may try again. */
const RETRY_AFTER_S = "1";

/** A drain closes this many sessions, waits a moment, and goes on: not everyone should reconnect at once. */
const DRAIN_BATCH = 64;
const DRAIN_PAUSE_MS = 10;

/** The wait before listening again after the platform has stopped to accept, as it does at the descriptor limit. */
const RELISTEN_MS = 100;

/**
 * A socket that is not open this long after its upgrade never will be. The platform (Deno 2.9.6) fires no event and
 * keeps the descriptor when a peer resets the connection between its request and our answer: its upgrade waits on a
 * channel of which it holds the other end itself, and the connection with it. No handle to either can be reached, and
 * `request.signal`, which knows of some of these resets, does so too late. It goes on to count as a connection, since
 * it costs one. A connection that ends in order at that moment costs none.
 */
const OPEN_TIMEOUT_MS = 10_000;

/** What a server tells of its work; `SessionMetrics` is one. */
export interface ServerObserver {
  onOpened(): void;
  onClosed(code: number): void;
  onRefused(reason: RefusalReason): void;
  onReaderCut(): void;
  scrape(): Promise<{ text: string; contentType: string }>;
}

/** How many sockets of this process are in which state now. */
export interface Counts {
  /** Open, established or not. */
  connections(): number;
  established(): number;
  /** Given up: see `OPEN_TIMEOUT_MS`. */
  lost(): number;
  /** Who reads the events. */
  readers(): number;
}

type RefusalReason = "bad-request" | "draining" | "full" | "no-lease";

export interface SessionServerOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  registry: SessionRegistry;
  events: SessionEvents;
  /** More sockets than this are refused with 503. */
  maxConnections: number;
  /** What a browser is shown at `/`. @default nothing */
  page?: Page;
  /** Makes the observer, which may ask for the counts at any time. */
  observer: (counts: Counts) => ServerObserver;
}

/** HTTP and WebSockets of one process. */
export class SessionServer implements SessionHost {
  readonly #registry: SessionRegistry;
  readonly #maxConnections: number;
  readonly #observer: ServerObserver;
  readonly #page: Page | undefined;
  readonly #events: EventStream;
  /** Answers with events whose connections may still be open. */
  #eventAnswers = 0;
  readonly #hostname: string;
  #port: number;
  #http!: Deno.HttpServer<Deno.NetAddr>;
  /** Every socket from `open` until it is gone. */
  readonly #sessions = new Set<Session>();
  #established = 0;
  /** Sockets whose upgrade has begun and not ended. */
  readonly #opening = new Set<Session>();
  #openingWatch: ReturnType<typeof setInterval> | undefined;
  #lost = 0;
  #draining = false;

  private constructor(options: SessionServerOptions) {
    this.#registry = options.registry;
    this.#maxConnections = options.maxConnections;
    this.#page = options.page;
    this.#hostname = options.hostname;
    this.#port = options.port;
    this.#observer = options.observer({
      connections: () => this.#sessions.size,
      established: () => this.#established,
      lost: () => this.#lost,
      readers: () => this.#events.readers,
    });
    this.#events = new EventStream({
      list: () => this.#registry.list(),
      events: options.events,
      onCut: () => this.#observer.onReaderCut(),
    });
  }

  /**
   * Listens and serves until `drain`.
   *
   * @throws {ProgramError} when it cannot listen there.
   */
  static listen(options: SessionServerOptions): SessionServer {
    const server = new SessionServer(options);
    try {
      server.#serve();
    } catch (error) {
      throw listenError(error, `${options.hostname}:${options.port}`);
    }
    server.#openingWatch = setInterval(() => server.#giveUpUnopened(), OPEN_TIMEOUT_MS / 2);
    return server;
  }

  /** Where it listens. */
  get address(): { hostname: string; port: number } {
    return { hostname: this.#hostname, port: this.#port };
  }

  /**
   * Ends the service in order: says so on `/readyz`, waits, closes the sessions batch by batch, then stops to listen.
   *
   * @param options.delayMs For balancers to notice before sessions are closed.
   * @param options.signal Cuts the waits short.
   */
  async drain({ delayMs, signal }: { delayMs: number; signal: AbortSignal }): Promise<void> {
    this.#draining = true;
    log.info("draining {count} connections", { count: this.#sessions.size });
    try {
      await delay(delayMs, undefined, { signal });
      this.#events.end();
      let batch = 0;
      for (const session of [...this.#sessions]) {
        session.close(CLOSE_CODES.goingAway);
        if (++batch % DRAIN_BATCH === 0) await delay(DRAIN_PAUSE_MS, undefined, { signal });
      }
      const end = performance.now() + CLOSE_TIMEOUT_MS + 500;
      while (this.#sessions.size > 0 && performance.now() < end) await delay(20, undefined, { signal });
    } catch {
      log.warn("no time left: dropping {count} connections", { count: this.#sessions.size });
    }
    this.#events.end();
    for (const session of this.#sessions) session.closeNow();
    clearInterval(this.#openingWatch);
    const stopped = this.#http.shutdown(); // waits for answers that are being sent
    await Promise.race([stopped, delay(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }

  // ---- SessionHost ------------------------------------------------------------------------------------------------

  onOpen(session: Session): void {
    this.#opening.delete(session);
    this.#sessions.add(session);
    if (this.#draining) session.close(CLOSE_CODES.goingAway);
    else this.#registry.claim(session);
  }

  onEstablished(_session: Session): void {
    this.#established++;
    this.#observer.onOpened();
  }

  onEnd(session: Session, code: number): void {
    if (session.established) this.#established--;
    this.#observer.onClosed(code);
  }

  onGone(session: Session): void {
    this.#registry.release(session);
    this.#opening.delete(session);
    this.#sessions.delete(session);
  }

  #giveUpUnopened(): void {
    const before = Date.now() - OPEN_TIMEOUT_MS;
    let lost = 0;
    for (const session of this.#opening) {
      if (session.connectedAtMs > before) break; // the rest is younger
      this.#opening.delete(session);
      lost++;
    }
    if (lost === 0) return;
    this.#lost += lost;
    log.warn(
      "{lost} peers reset the connection during the upgrade; {total} descriptors are lost until the restart",
      {
        lost,
        total: this.#lost,
      },
    );
  }

  // ---- HTTP -------------------------------------------------------------------------------------------------------

  #serve(): void {
    const options = {
      hostname: this.#hostname,
      port: this.#port,
      onListen: ({ port }: Deno.NetAddr) => this.#port = port,
      onError: (error: unknown) => {
        log.error("cannot answer a request: {error}", { error });
        return text(500, "internal error, see the log of the server");
      },
    };
    // Nobody looks at a request's signal: "no-legacy-abort" in deno.json spares its error per request, which was a
    // quarter of what an upgrade costs.
    this.#http = Deno.serve(options, (request, info) => this.#handle(request, info));
    this.#http.finished.catch((error) => this.#serveAgain(error));
  }

  /** At the descriptor limit the platform stops to accept; the sockets that are open live on. */
  async #serveAgain(error: unknown): Promise<void> {
    log.error("stopped to accept: {error}; trying again", { error: messageOf(error) });
    while (!this.#draining) {
      await delay(RELISTEN_MS);
      try {
        this.#serve();
        log.info("accepting again on port {port}", { port: this.#port });
        return;
      } catch {
        // still no descriptor for the listener
      }
    }
  }

  #handle(request: Request, { completed }: Deno.ServeHandlerInfo): Response | Promise<Response> {
    let url: URL;
    try {
      url = new URL(request.url);
    } catch {
      return text(400, "the Host header is not a host name");
    }
    const page = this.#page?.answer(request, url.pathname);
    if (page) return page;
    const route = ROUTES[url.pathname];
    if (!route) return text(404, `no such path; there are ${Object.keys(ROUTES).join(", ")}`);
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "only GET and HEAD are known here", { allow: "GET, HEAD" });
    }
    switch (route) {
      case "connect":
        return this.#connect(request, url);
      case "sessions":
        return this.#list(request, completed);
      case "alive":
        return text(200, "alive");
      case "ready":
        return this.#ready();
      case "metrics":
        return this.#metrics();
    }
  }

  #connect(request: Request, url: URL): Response {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return text(426, "connect with a WebSocket: ws://<host>/?client_id=<text>", { upgrade: "websocket" });
    }
    if (!request.headers.has("host")) return this.#refuse("bad-request", 400, "the Host header is missing");
    let clientId: string;
    try {
      clientId = parseClientId(url.search.slice(1));
    } catch (error) {
      if (!(error instanceof ClientIdError)) throw error;
      return this.#refuse("bad-request", 400, error.message);
    }
    if (this.#draining) return this.#refuse("draining", 503, "this process is being stopped");
    if (this.#registry.state === "unleased") {
      return this.#refuse("no-lease", 503, "this process cannot reach the session registry");
    }
    if (this.#sessions.size + this.#opening.size + this.#lost >= this.#maxConnections) {
      return this.#refuse("full", 503, "this process has as many connections as it may have");
    }
    let upgrade;
    try {
      upgrade = Deno.upgradeWebSocket(request, { idleTimeout: IDLE_TIMEOUT_S });
    } catch (error) {
      return this.#refuse("bad-request", 400, messageOf(error));
    }
    this.#opening.add(new Session(clientId, upgrade.socket, this));
    return upgrade.response;
  }

  #refuse(reason: RefusalReason, status: 400 | 503, why: string): Response {
    this.#observer.onRefused(reason);
    return text(
      status,
      why,
      status === 503 ? { "retry-after": RETRY_AFTER_S } : { "sec-websocket-version": "13" },
    );
  }

  #list(request: Request, completed: Promise<void>): Response | Promise<Response> {
    const accept = request.headers.get("accept") ?? "";
    if (accept.includes("text/event-stream")) return this.#stream(request, completed);
    return this.#listing(request, accept.includes("application/json"));
  }

  /** The sessions and then what becomes of them; see docs/sessions-events.md. */
  #stream(request: Request, completed: Promise<void>): Response {
    const headers = {
      "content-type": "text/event-stream",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no", // nginx would collect events
      vary: "accept",
    };
    if (request.method === "HEAD") return new Response(null, { headers });
    const refuse = (why: string) => text(503, why, { "retry-after": RETRY_AFTER_S });
    if (this.#draining) return refuse("this process is being stopped");
    if (this.#registry.state === "unleased" || this.#registry.state === "unreachable") {
      return refuse("the session registry does not answer");
    }
    if (this.#eventAnswers >= MAX_READERS) {
      return refuse(`this process serves ${MAX_READERS} readers already`);
    }
    this.#eventAnswers++;
    const gone = () => void this.#eventAnswers--;
    completed.then(gone, gone);
    return new Response(this.#events.open(request.headers.get("last-event-id") ?? ""), { headers });
  }

  async #listing(request: Request, json: boolean): Promise<Response> {
    const format = json ? JSON_LISTING : TEXT_LISTING;
    const headers = { "content-type": format.contentType, "cache-control": "no-store", vary: "accept" };
    if (request.method === "HEAD") return new Response(null, { headers });
    try {
      return new Response(await listingStream(this.#registry.list(), format), { headers });
    } catch (error) {
      if (!(error instanceof RegistryUnreachableError)) throw error;
      return text(503, "the session registry does not answer", { "retry-after": RETRY_AFTER_S });
    }
  }

  #ready(): Response {
    if (this.#draining) return text(503, "draining", { "retry-after": RETRY_AFTER_S });
    const { state } = this.#registry;
    return state === "ready"
      ? text(200, "ready")
      : text(503, `registry ${state}`, { "retry-after": RETRY_AFTER_S });
  }

  async #metrics(): Promise<Response> {
    const { text: body, contentType } = await this.#observer.scrape();
    return new Response(body, { headers: { "content-type": contentType } });
  }
}

const ROUTES: Record<string, "connect" | "sessions" | "alive" | "ready" | "metrics"> = Object.assign(
  Object.create(null), // a path named like a property of objects is no path
  { "/": "connect", "/sessions": "sessions", "/healthz": "alive", "/readyz": "ready", "/metrics": "metrics" },
);

/** One line of plain text. */
function text(status: number, line: string, headers: Record<string, string> = {}): Response {
  return new Response(`${line}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}
