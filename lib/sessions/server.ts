import { setTimeout as delay } from "node:timers/promises";
import { getLogger } from "../service/log.ts";
import { CLOSE_CODES } from "./close_codes.ts";
import type { SessionEvents } from "./events/events.ts";
import type { ProcessState, RefusalReason } from "./http/connect.ts";
import type { Counts } from "./http/metrics.ts";
import type { Page } from "./http/page.ts";
import { Routes } from "./http/routes.ts";
import { SessionList } from "./http/sessions.ts";
import type { SessionRegistry } from "./registry/registry.ts";
import { Session, type SessionHost } from "./session.ts";
import { listen } from "./transport/listen.ts";
import { CLOSE_TIMEOUT_MS, type Transport, type TransportName } from "./transport/transport.ts";

const log = getLogger(["solo", "server"]);

/** A drain closes this many sessions, waits a moment, and goes on: not everyone should reconnect at once. */
const DRAIN_BATCH = 64;
const DRAIN_PAUSE_MS = 10;

/** How often a drain looks whether the last connection is gone. */
const DRAIN_LOOK_MS = 20;

/** What a server tells of its work; `SessionMetrics` is one. */
export interface ServerObserver {
  onOpened(): void;
  onClosed(code: number): void;
  onRefused(reason: RefusalReason): void;
  onReaderCut(): void;
  scrape(): Promise<{ text: string; contentType: string }>;
}

export interface SessionServerOptions {
  /** An address, or `localhost`, which is 127.0.0.1 and ::1. */
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  transport: TransportName;
  registry: SessionRegistry;
  events: SessionEvents;
  /** More sockets than this are refused with 503. */
  maxConnections: number;
  /** A client that sends more messages a second is closed with 1008. */
  maxMessages: number;
  /** What a browser is shown at `/`. @default nothing */
  page?: Page;
  /** Makes the observer, which may ask for the counts at any time. */
  observer: (counts: Counts) => ServerObserver;
}

/** One process of the service: transport, registry and routes, wired to each other. */
export class SessionServer implements SessionHost {
  readonly #registry: SessionRegistry;
  readonly #maxConnections: number;
  readonly #observer: ServerObserver;
  readonly #list: SessionList;
  #transport!: Transport;
  /** Every session from `open` until its end is evident. */
  readonly #sessions = new Set<Session>();
  #established = 0;
  #draining = false;
  readonly #wornOut = new AbortController();

  private constructor(options: SessionServerOptions) {
    this.#registry = options.registry;
    this.#maxConnections = options.maxConnections;
    this.#list = new SessionList({
      registry: options.registry,
      events: options.events,
      onReaderCut: () => this.#observer.onReaderCut(),
    });
    this.#observer = options.observer({
      connections: () => this.#transport.connections,
      established: () => this.#established,
      lost: () => this.#transport.lost,
      readers: () => this.#list.readers,
    });
  }

  /**
   * Listens and serves until `drain`.
   *
   * @throws {ProgramError} when it cannot listen there.
   */
  static async listen(options: SessionServerOptions): Promise<SessionServer> {
    const server = new SessionServer(options);
    const routes = new Routes({
      state: () => server.#state(),
      sessions: server.#list,
      page: options.page,
      scrape: () => server.#observer.scrape(),
      connect: ({ clientId }) => new Session(clientId, server),
      onRefused: (reason) => server.#observer.onRefused(reason),
    });
    server.#transport = await listen(options.transport, {
      hostname: options.hostname,
      port: options.port,
      handler: (request, info) => routes.answer(request, info),
      maxMessages: options.maxMessages,
      maxConnections: options.maxConnections,
      onAwake: () => void options.registry.state, // ends the sessions of a lease that ran out meanwhile
      onWornOut: () => server.#onWornOut(),
    });
    return server;
  }

  /** Where it listens, as `host:port` each. */
  get addresses(): readonly string[] {
    return this.#transport.addresses;
  }

  /** Aborted when the process should be replaced: its transport has lost too many descriptors. It is not ready any more. */
  get wornOut(): AbortSignal {
    return this.#wornOut.signal;
  }

  /**
   * Ends the service in order: says so on `/readyz`, waits, closes the sessions batch by batch, then stops to listen.
   *
   * @param options.delayMs For balancers to notice before sessions are closed.
   * @param options.signal Cuts the waits short.
   */
  async drain({ delayMs, signal }: { delayMs: number; signal: AbortSignal }): Promise<void> {
    this.#draining = true;
    log.info("draining {count} connections", { count: this.#transport.connections });
    try {
      await delay(delayMs, undefined, { signal });
      this.#list.end();
      let batch = 0;
      for (const session of [...this.#sessions]) {
        session.close(CLOSE_CODES.goingAway);
        if (++batch % DRAIN_BATCH === 0) await delay(DRAIN_PAUSE_MS, undefined, { signal });
      }
      const end = performance.now() + CLOSE_TIMEOUT_MS + 500;
      while (this.#transport.connections > 0 && performance.now() < end) {
        await delay(DRAIN_LOOK_MS, undefined, { signal });
      }
    } catch {
      log.warn("no time left: dropping {count} connections", { count: this.#transport.connections });
    }
    this.#list.end();
    await this.#transport.close();
  }

  // ---- SessionHost ------------------------------------------------------------------------------------------------

  onOpen(session: Session): void {
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

  onEnded(session: Session): void {
    this.#registry.release(session);
    this.#sessions.delete(session);
  }

  #state(): ProcessState {
    return {
      draining: this.#draining,
      registry: this.#registry.state,
      full: this.#transport.connections + this.#transport.lost >= this.#maxConnections,
    };
  }

  #onWornOut(): void {
    log.error(
      "lost {count} descriptors to peers that reset during the upgrade: this process should be replaced",
      {
        count: this.#transport.lost,
      },
    );
    this.#draining = true;
    this.#wornOut.abort("worn out");
  }
}
