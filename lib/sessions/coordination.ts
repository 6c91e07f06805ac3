/** A registry and the events of its sessions, wired to each other: all that the processes of a service share. */

import { MemoryEvents } from "./events/memory_events.ts";
import { RedisEvents } from "./events/redis_events.ts";
import type { SessionEvents } from "./events/events.ts";
import { MemoryRegistry } from "./registry/memory_registry.ts";
import { RedisRegistry, type RedisRegistryOptions } from "./registry/redis/redis_registry.ts";
import type { SessionRegistry } from "./registry/registry.ts";

/** What a server needs to know of the service that it is a part of. Disposing it gives the lease back. */
export interface Coordination<R extends SessionRegistry = SessionRegistry> extends AsyncDisposable {
  readonly registry: R;
  readonly events: SessionEvents;
}

/**
 * A service of a single process: nothing to set up, gone with the process.
 *
 * @param options.takeoverLimit How many takeovers of one client a minute has room for. @default any number
 */
export function inMemory(options: { takeoverLimit?: number } = {}): Coordination<MemoryRegistry> {
  const events = new MemoryEvents();
  const registry = new MemoryRegistry({
    ...options,
    onChange: (change, session) => events.add(change, session),
  });
  return { registry, events, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() };
}

/**
 * A service of all processes with the same Redis and prefix.
 *
 * @throws {ProgramError} when there is no lease within `startTimeoutMs`; the text says why.
 */
export async function inRedis(options: RedisRegistryOptions): Promise<Coordination<RedisRegistry>> {
  const registry = await RedisRegistry.start(options);
  const events = new RedisEvents(registry.journal);
  return { registry, events, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() };
}
