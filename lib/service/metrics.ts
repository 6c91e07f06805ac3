import { collectDefaultMetrics, Registry } from "prom-client";

export { Counter, Gauge, Histogram, type Registry } from "prom-client";

/**
 * How often the event loop is asked whether it is late: a longer stall is always seen. Asking as often as the library
 * does by default (10 ms) is most of what an idle process costs.
 */
const EVENT_LOOP_PRECISION_MS = 50;

/** A set of metrics that starts with those of the process itself: CPU, memory, descriptors, event loop delay. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
  return registry;
}
