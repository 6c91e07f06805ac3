import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

export { Counter, Histogram, type Registry } from "prom-client";

/**
 * How often the event loop is asked whether it is late: a longer stall is always seen. Asking as often as the library
 * does by default (10 ms) is most of what an idle process costs.
 */
const EVENT_LOOP_PRECISION_MS = 50;

/** What the library reads from /proc, where Deno lets no one look who is not allowed everything: always 0 here. */
const UNREADABLE = [
  "process_resident_memory_bytes",
  "process_virtual_memory_bytes",
  "process_heap_bytes",
  "process_open_fds",
  "process_max_fds",
];

/** A set of metrics that starts with those of the process itself: CPU, memory, event loop delay. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
  for (const name of UNREADABLE) registry.removeSingleMetric(name);
  addGauge(
    registry,
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    () => Deno.memoryUsage().rss,
  );
  return registry;
}

/** Adds what has a value at every moment, and is asked for it when it is collected. */
export function addGauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}

/** What a collector of metrics is answered. */
export interface Scrape {
  text: string;
  contentType: string;
}

/** All that a set of metrics shows now. */
export async function scrape(registry: Registry): Promise<Scrape> {
  return { text: await registry.metrics(), contentType: registry.contentType };
}
