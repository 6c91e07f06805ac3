/** Every registry that there is, for suites that hold them to one contract. */

import { MemoryRegistry } from "../../lib/sessions/registry/memory_registry.ts";
import { RedisRegistry } from "../../lib/sessions/registry/redis/redis_registry.ts";
import type { SessionRegistry } from "../../lib/sessions/registry/registry.ts";
import { Redis } from "./redis.ts";

/** Where a suite runs: `here` and `there` are two processes of one service, or the same one. */
export interface Place {
  here: SessionRegistry;
  there: SessionRegistry;
}

/** What the processes of a service are told. */
export interface Settings {
  takeoverLimit?: number;
}

type Body = (place: Place) => Promise<void>;

const STORES: Record<string, (body: Body, settings: Settings) => Promise<void>> = {
  "MemoryRegistry": async (body, settings) => {
    await using registry = new MemoryRegistry(settings);
    await body({ here: registry, there: registry });
  },
  "RedisRegistry, one process": async (body, settings) => {
    await using redis = await Redis.start();
    await using registry = await RedisRegistry.start({ ...settings, url: redis.url, leaseMs: 10_000 });
    await body({ here: registry, there: registry });
  },
  "RedisRegistry, two processes": async (body, settings) => {
    await using redis = await Redis.start();
    await using here = await RedisRegistry.start({ ...settings, url: redis.url, leaseMs: 10_000 });
    await using there = await RedisRegistry.start({ ...settings, url: redis.url, leaseMs: 10_000 });
    await body({ here, there });
  },
};

/** Registers tests for each of them. */
export function forEachRegistry(
  suite: (test: (behaviour: string, body: Body, settings?: Settings) => void) => void,
): void {
  for (const [store, inPlace] of Object.entries(STORES)) {
    suite((behaviour, body, settings = {}) =>
      Deno.test(`${store}: ${behaviour}`, () => inPlace(body, settings))
    );
  }
}
