import {
  addGauge,
  Counter,
  createMetrics,
  Histogram,
  type Registry,
  type Scrape,
  scrape,
} from "../../service/metrics.ts";
import type { RegistryObserver } from "../registry/redis/redis_registry.ts";
import type { RefusalReason } from "./connect.ts";
import type { OperationName } from "./operations.ts";

/** Upper bounds of the histograms, seconds: from a round trip on one host to a lease. */
const BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** How many sockets of a process are in which state now. */
export interface Counts {
  /** WebSockets, established or not. */
  connections(): number;
  established(): number;
  /** Descriptors that the transport has lost. */
  lost(): number;
  /** Who reads the events. */
  readers(): number;
}

/** What `/metrics` of a session server shows. */
export class SessionMetrics implements RegistryObserver {
  readonly #registry: Registry = createMetrics();
  readonly #with = { registers: [this.#registry] };
  readonly #opened = new Counter({
    name: "solo_sessions_opened_total",
    help: "Sessions established",
    ...this.#with,
  });
  readonly #closed = new Counter({
    name: "solo_sessions_closed_total",
    help: "Connections ended, by close code; 1005 and 1006 ended without a code",
    labelNames: ["code"],
    ...this.#with,
  });
  readonly #refused = new Counter({
    name: "solo_connections_refused_total",
    help: "Requests that were refused: to connect, before the upgrade, and all that access forbids",
    labelNames: ["reason"],
    ...this.#with,
  });
  readonly #takeovers = new Counter({
    name: "solo_takeovers_total",
    help: "Sessions of this process replaced by a newer one, by where that one is",
    labelNames: ["where"],
    ...this.#with,
  });
  readonly #takeoverSeconds = new Histogram({
    name: "solo_takeover_seconds",
    help: "How long a new session waited for the end of an older one",
    buckets: BUCKETS_S,
    ...this.#with,
  });
  readonly #evictionsRepeated = new Counter({
    name: "solo_evictions_repeated_total",
    help: "Requests to end an older session that had to be repeated",
    ...this.#with,
  });
  readonly #ghostsSwept = new Counter({
    name: "solo_ghosts_swept_total",
    help: "Entries of dead processes removed",
    ...this.#with,
  });
  readonly #renewals = new Counter({
    name: "solo_lease_renewals_total",
    help: "Renewals of the lease, by result",
    labelNames: ["result"],
    ...this.#with,
  });
  readonly #roundTrip = new Histogram({
    name: "solo_redis_round_trip_seconds",
    help: "From sending a command to Redis to its answer",
    buckets: BUCKETS_S,
    ...this.#with,
  });
  readonly #operations = new Counter({
    name: "solo_operations_total",
    help: "What operators asked for about one client, by the status of the answer",
    labelNames: ["operation", "status"],
    ...this.#with,
  });
  readonly #readersCut = new Counter({
    name: "solo_event_readers_cut_total",
    help: "Readers of the events that were too slow",
    ...this.#with,
  });
  readonly #rejections = new Counter({
    name: "solo_unhandled_rejections_total",
    help: "Failures inside the platform that would have ended the process",
    ...this.#with,
  });

  constructor(counts: Counts) {
    const gauge = (name: string, help: string, value: () => number) =>
      addGauge(this.#registry, name, help, value);
    gauge("solo_sessions_established", "Sessions established now in this process", counts.established);
    gauge("solo_connections", "Sockets open now in this process", counts.connections);
    gauge(
      "solo_sockets_lost",
      "Descriptors lost to peers that reset the connection during the upgrade; never with --transport node",
      counts.lost,
    );
    gauge("solo_event_readers", "Who reads the events of sessions now in this process", counts.readers);
  }

  /** The text for a scrape, and its content type. */
  scrape(): Promise<Scrape> {
    return scrape(this.#registry);
  }

  onOpened(): void {
    this.#opened.inc();
  }

  onClosed(code: number): void {
    this.#closed.inc({ code });
  }

  onRefused(reason: RefusalReason): void {
    this.#refused.inc({ reason });
  }

  onOperation(operation: OperationName, status: number): void {
    this.#operations.inc({ operation, status });
  }

  onReaderCut(): void {
    this.#readersCut.inc();
  }

  onUnhandledRejection(): void {
    this.#rejections.inc();
  }

  onTakeover(where: "local" | "remote"): void {
    this.#takeovers.inc({ where });
  }

  onTakeoverDone(ms: number): void {
    this.#takeoverSeconds.observe(ms / 1000);
  }

  onEvictionRepeated(): void {
    this.#evictionsRepeated.inc();
  }

  onGhostsSwept(count: number): void {
    this.#ghostsSwept.inc(count);
  }

  onRenewal(success: boolean): void {
    this.#renewals.inc({ result: success ? "success" : "failure" });
  }

  onRoundTrip(ms: number): void {
    this.#roundTrip.observe(ms / 1000);
  }
}
