import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../service/clock.ts";
import { getLogger } from "../service/log.ts";
import type { Scrape } from "../service/metrics.ts";
import { CLOSE_CODES, type CloseCode } from "./close_codes.ts";
import { Drain } from "./drain.ts";
import type { SessionEvents } from "./events/events.ts";
import type { Access } from "./http/access/access.ts";
import { Expiries } from "./http/access/expiries.ts";
import { Entrance, type ProcessState, type RefusalReason } from "./http/connect.ts";
import type { Counts } from "./http/metrics.ts";
import type { Page } from "./http/page.ts";
import { type OperationName, Operations } from "./http/operations.ts";
import { Routes } from "./http/routes.ts";
import { SessionList } from "./http/sessions.ts";
import type { SessionRegistry } from "./registry/registry.ts";
import { Session, type SessionHost } from "./session.ts";
import { listen } from "./transport/listen.ts";
import {
  CLOSE_TIMEOUT_MS,
  type Transport,
  type TransportName,
  type TransportOptions,
} from "./transport/transport.ts";

const log = getLogger(["solo", "server"]);

/** How often the server looks whose token has expired, and how many it closes in one turn. */
const EXPIRE_PERIOD_MS = 250;
const EXPIRE_BATCH = 64;

/** How often a drain looks whether the last connection is gone, and how long after the last close it does. */
const DRAIN_LOOK_MS = 20;
const DRAIN_ANSWER_MS = CLOSE_TIMEOUT_MS + 500;

/** What a server tells of its work; `SessionMetrics` is one. */
export interface ServerObserver {
  onOpened(): void;
  onClosed(code: number): void;
  onRefused(reason: RefusalReason): void;
  onReaderCut(): void;
  onOperation(operation: OperationName, status: number): void;
  scrape(): Promise<Scrape>;
}

export interface SessionServerOptions {
  /** An address, or `localhost`, which is 127.0.0.1 and ::1. */
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  transport: TransportName;
  /** Where operators are served. @default where clients are */
  operator?: { hostname: string; port: number };
  access: Access;
  registry: SessionRegistry;
  events: SessionEvents;
  /** More sockets than this are refused with 503. */
  maxConnections: number;
  /** A client that sends more messages a second is closed with 1008. */
  maxMessages: number;
  /** How many sessions a drain closes in a second. */
  drainRate: number;
  /** What a browser is shown at `/`. @default nothing */
  page?: Page;
  /** Makes the observer, which may ask for the counts at any time. */
  observer: (counts: Counts) => ServerObserver;
}

/** One process of the service: transports, registry and routes, wired to each other. */
export class SessionServer implements SessionHost {
  readonly #registry: SessionRegistry;
  readonly #maxConnections: number;
  readonly #drainRate: number;
  readonly #observer: ServerObserver;
  readonly #list: SessionList;
  readonly #entrance: Entrance;
  /** For clients, and for operators where they have an address of their own. */
  readonly #transports: Transport[] = [];
  /** Every session from `open` until its end is evident. */
  readonly #sessions = new Set<Session>();
  /** Those of them that end with their tokens. */
  readonly #expiries = new Expiries<Session>();
  readonly #expireTimer: ReturnType<typeof setInterval> | undefined;
  #established = 0;
  #draining = false;
  /** With what a drain closes sessions. */
  #farewell: CloseCode = CLOSE_CODES.goingAway;
  readonly #wornOut = new AbortController();

  private constructor(options: SessionServerOptions) {
    this.#registry = options.registry;
    this.#maxConnections = options.maxConnections;
    this.#drainRate = options.drainRate;
    this.#list = new SessionList({
      registry: options.registry,
      events: options.events,
      onReaderCut: () => this.#observer.onReaderCut(),
    });
    this.#observer = options.observer({
      connections: () => this.#connections,
      established: () => this.#established,
      lost: () => this.#lost,
      readers: () => this.#list.readers,
    });
    this.#entrance = new Entrance({
      access: options.access,
      state: () => this.#state(),
      blockedMs: (clientId) => options.registry.blockedMs(clientId),
      connect: ({ clientId, endsAtMs }, takesOver) =>
        new Session({ clientId, endsAtMs, takesOver, host: this }),
      onRefused: (reason) => this.#observer.onRefused(reason),
    });
    if (options.access.expires) this.#expireTimer = setInterval(() => this.#expire(), EXPIRE_PERIOD_MS);
  }

  /**
   * Listens and serves until `drain`.
   *
   * @throws {ProgramError} when it cannot listen there.
   */
  static async listen(options: SessionServerOptions): Promise<SessionServer> {
    const server = new SessionServer(options);
    const routes = new Routes({
      access: options.access,
      entrance: server.#entrance,
      state: () => server.#state(),
      sessions: server.#list,
      operations: new Operations({
        registry: options.registry,
        onOperation: (operation, status) => server.#observer.onOperation(operation, status),
      }),
      page: options.page,
      scrape: () => server.#observer.scrape(),
      onRefused: (reason) => server.#observer.onRefused(reason),
    });
    const listenAt = async (
      address: Pick<TransportOptions, "hostname" | "port" | "flags">,
      forOperators: boolean,
    ) =>
      void server.#transports.push(
        await listen(options.transport, {
          ...address,
          handler: (request, info) => routes.answer(request, info, forOperators),
          maxMessages: options.maxMessages,
          maxConnections: options.maxConnections,
          onAwake: () => void options.registry.state, // ends the sessions of a lease that ran out meanwhile
          onWornOut: () => server.#onWornOut(),
        }),
      );
    const { hostname, port, operator } = options;
    try {
      await listenAt({ hostname, port }, operator === undefined);
      if (operator) {
        await listenAt({ ...operator, flags: { host: "--operator", port: "--operator" } }, true);
      }
    } catch (error) {
      await server.#close();
      throw error;
    }
    return server;
  }

  /** Where it listens, as `host:port` each. */
  get addresses(): readonly string[] {
    return this.#transports[0]!.addresses;
  }

  /** Where it listens for operators, where that is somewhere else. */
  get operatorAddresses(): readonly string[] {
    return this.#transports[1]?.addresses ?? [];
  }

  /** Aborted when the process should be replaced: its transport has lost too many descriptors. It is not ready any more. */
  get wornOut(): AbortSignal {
    return this.#wornOut.signal;
  }

  /**
   * Ends the service in order: says so on `/readyz`, waits, closes the sessions at the drain rate, then stops to listen.
   *
   * @param options.delayMs For balancers to notice before sessions are closed.
   * @param options.timeoutMs When it has to be over; cuts the waits short.
   */
  async drain({ delayMs, timeoutMs }: { delayMs: number; timeoutMs: number }): Promise<void> {
    this.#draining = true;
    const drain = new Drain({
      count: this.#sessions.size,
      perSecond: this.#drainRate,
      leftMs: Math.max(0, timeoutMs - delayMs),
      answerMs: DRAIN_ANSWER_MS,
    });
    this.#farewell = drain.farewell;
    log.info("draining {count} connections", { count: this.#connections });
    if (drain.hurried) {
      log.warn(
        "closing {count} sessions at {rate} a second does not fit into --shutdown-timeout: they are closed faster, and told " +
          "to come back within {within} s",
        { count: this.#sessions.size, rate: this.#drainRate, within: drain.withinS },
      );
    }
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      await delay(delayMs, undefined, { signal });
      this.#list.end();
      await drain.run(this.#sessions, (session) => session.close(this.#farewell), {
        clock: systemClock,
        signal,
      });
      const end = performance.now() + DRAIN_ANSWER_MS;
      while (this.#connections > 0 && performance.now() < end) {
        await delay(DRAIN_LOOK_MS, undefined, { signal });
      }
    } catch {
      // the signal: what is left is dropped
    }
    if (this.#connections > 0) {
      log.warn("no time left: dropping {count} connections", { count: this.#connections });
    }
    this.#list.end();
    await this.#close();
  }

  // ---- SessionHost ------------------------------------------------------------------------------------------------

  onOpen(session: Session): void {
    this.#sessions.add(session);
    if (session.endsAtMs !== undefined) this.#expiries.add(session, session.endsAtMs);
    if (this.#draining) session.close(this.#farewell);
    else this.#registry.claim(session);
  }

  onEstablished(_session: Session): void {
    this.#established++;
    this.#observer.onOpened();
  }

  onEnd(session: Session, code: number): void {
    if (session.established) this.#established--;
    if (session.endsAtMs !== undefined) this.#expiries.delete(session, session.endsAtMs);
    this.#observer.onClosed(code);
  }

  onEnded(session: Session): void {
    this.#registry.release(session);
    this.#sessions.delete(session);
  }

  get #connections(): number {
    return this.#transports.reduce((sum, { connections }) => sum + connections, 0);
  }

  get #lost(): number {
    return this.#transports.reduce((sum, { lost }) => sum + lost, 0);
  }

  #state(): ProcessState {
    return {
      draining: this.#draining,
      registry: this.#registry.state,
      full: this.#connections + this.#lost + this.#entrance.undecided >= this.#maxConnections,
    };
  }

  /** Ends the sessions whose tokens have expired: many at a time where they were made at the same time. */
  async #expire(): Promise<void> {
    let batch = 0;
    for (const session of this.#expiries.due(Date.now())) {
      session.close(CLOSE_CODES.tokenExpired);
      if (++batch % EXPIRE_BATCH === 0) await nextTurn();
    }
  }

  async #close(): Promise<void> {
    clearInterval(this.#expireTimer);
    await Promise.all(this.#transports.map((transport) => transport.close()));
  }

  #onWornOut(): void {
    log.error(
      "lost {count} descriptors to peers that reset during the upgrade: this process should be replaced",
      {
        count: this.#lost,
      },
    );
    this.#draining = true;
    this.#wornOut.abort("worn out");
  }
}
