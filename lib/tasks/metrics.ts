/** What a tasks-server counts for those who watch it. */

import {
  addGauge,
  Counter,
  createMetrics,
  Histogram,
  type Registry,
  type Scrape,
  scrape,
} from "../service/metrics.ts";
import { CATALOG } from "./catalog.ts";
import { END_KINDS, type EndKind } from "./end_reason.ts";
import { CANCELLED } from "./protocol.ts";
import type { Task } from "./queue.ts";
import type { ServerObserver, TasksServer } from "./server.ts";

/** Upper bounds of the histograms, seconds: from an echo that is alone to a queue that takes all day. */
const BUCKETS_S = [0.001, 0.01, 0.1, 1, 2.5, 5, 10, 25, 60, 300, 3600];

const OUTCOMES = ["success", "error", CANCELLED] as const;

/** Counts from its construction on; what is there now, it asks of the server that `watch` names. */
export class TasksMetrics implements ServerObserver {
  readonly #registry: Registry = createMetrics();
  readonly #with = { registers: [this.#registry] };
  readonly #ended = new Counter({
    name: "solo_tasks_ended_total",
    help: "Tasks that have ended, by kind and outcome: success, error or cancelled",
    labelNames: ["task", "outcome"],
    ...this.#with,
  });
  readonly #waitSeconds = new Histogram({
    name: "solo_tasks_wait_seconds",
    help: "How long a task waited in the queue before it executed",
    buckets: BUCKETS_S,
    ...this.#with,
  });
  readonly #runSeconds = new Histogram({
    name: "solo_tasks_run_seconds",
    help: "How long a task executed, its simulated duration included",
    buckets: BUCKETS_S,
    ...this.#with,
  });
  readonly #refused = new Counter({
    name: "solo_tasks_refused_total",
    help: "Tasks that were refused, since the queue was full",
    ...this.#with,
  });
  readonly #connectionsEnded = new Counter({
    name: "solo_tasks_connections_ended_total",
    help: "Connections that have ended, by reason; left is the client's own doing",
    labelNames: ["reason"],
    ...this.#with,
  });
  readonly #connectionsRefused = new Counter({
    name: "solo_tasks_connections_refused_total",
    help: "Connections that were refused, since as many as may be were open",
    ...this.#with,
  });

  constructor() {
    // from 0 on, so that the first of its kind is seen as an increase
    for (const task of CATALOG.keys()) {
      for (const outcome of OUTCOMES) this.#ended.inc({ task, outcome }, 0);
    }
    for (const reason of ["left", ...END_KINDS]) this.#connectionsEnded.inc({ reason }, 0);
  }

  /** Shows what is in this server now, too. */
  watch(server: TasksServer): void {
    this.#gauge("solo_tasks_waiting", "Tasks that wait in the queue now", () => server.tasks.counts.waiting);
    this.#gauge(
      "solo_tasks_executing",
      "Tasks that execute now: 0 or 1",
      () => server.tasks.counts.executing,
    );
    this.#gauge("solo_tasks_kept", "Ended tasks that are kept now", () => server.tasks.counts.kept);
    this.#gauge(
      "solo_tasks_waiting_bytes",
      "Memory for the data of waiting tasks now",
      () => server.tasks.bytes.waiting,
    );
    this.#gauge(
      "solo_tasks_kept_bytes",
      "Memory for the results of kept tasks now",
      () => server.tasks.bytes.kept,
    );
    this.#gauge("solo_tasks_connections", "Connections open now", () => server.connections);
    this.#gauge(
      "solo_tasks_connection_bytes",
      "Memory for begun requests and replies that wait now",
      () => server.connectionBytes,
    );
  }

  /** The text for a scrape, and its content type. */
  scrape(): Promise<Scrape> {
    return scrape(this.#registry);
  }

  onTaskEnd({ name, status, error }: Task, waitMs?: number, runMs?: number): void {
    // what clients call their tasks must not become labels without end
    const task = CATALOG.has(name) ? name : "unknown";
    this.#ended.inc({ task, outcome: error === CANCELLED ? CANCELLED : status });
    if (waitMs !== undefined) this.#waitSeconds.observe(waitMs / 1000);
    if (runMs !== undefined) this.#runSeconds.observe(runMs / 1000);
  }

  onTaskRefused(): void {
    this.#refused.inc();
  }

  onConnectionEnd(reason: EndKind | "left"): void {
    this.#connectionsEnded.inc({ reason });
  }

  onConnectionRefused(): void {
    this.#connectionsRefused.inc();
  }

  #gauge(name: string, help: string, value: () => number): void {
    addGauge(this.#registry, name, help, value);
  }
}
