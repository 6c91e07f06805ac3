import { type Coordination, inRedis } from "../../lib/sessions/coordination.ts";
import {
  RedisRegistry,
  type RedisRegistryOptions,
} from "../../lib/sessions/registry/redis/redis_registry.ts";
import { LASTING_LEASE_MS, PATIENCE_MS } from "./wait.ts";

/** What keeps a process in a service on the busiest machine. */
const PATIENT = { leaseMs: LASTING_LEASE_MS, startTimeoutMs: PATIENCE_MS };

/** A process of a service, within this one. */
export function joined(options: RedisRegistryOptions): Promise<Coordination<RedisRegistry>> {
  return inRedis({ ...PATIENT, ...options });
}

/** The same, where nothing but its registry matters. */
export function joinedRegistry(options: RedisRegistryOptions): Promise<RedisRegistry> {
  return RedisRegistry.start({ ...PATIENT, ...options });
}
