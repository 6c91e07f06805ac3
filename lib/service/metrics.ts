import { collectDefaultMetrics, Gauge, Registry } from "prom-client";

export { Counter, Gauge, Histogram, type Registry } from "prom-client";

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
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size in bytes.",
    registers: [registry],
    collect() {
      this.set(Deno.memoryUsage().rss);
    },
  });
  return registry;
}
