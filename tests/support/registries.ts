/** The registries, for suites that hold them to one contract. */

import { MemoryRegistry } from "../../lib/sessions/registry/memory_registry.ts";
import type { SessionRegistry } from "../../lib/sessions/registry/registry.ts";
import { TestCandidate } from "./candidate.ts";
import { joinedRegistry } from "./joined.ts";
import { Redis } from "./redis.ts";

/** Where a suite runs: `here` and `there` are two processes of one service, or the same one. */
export interface Place {
  here: SessionRegistry;
  there: SessionRegistry;
}

/** What the processes of a service are told. */
interface Settings {
  takeoverLimit?: number;
}

const STORES: Record<string, (body: (place: Place) => Promise<void>, settings: Settings) => Promise<void>> = {
  "MemoryRegistry": async (body, settings) => {
    await using registry = new MemoryRegistry(settings);
    await body({ here: registry, there: registry });
  },
  "RedisRegistry, one process": async (body, settings) => {
    await using redis = await Redis.start();
    await using registry = await joinedRegistry({ ...settings, url: redis.url });
    await body({ here: registry, there: registry });
  },
  "RedisRegistry, two processes": async (body, settings) => {
    await using redis = await Redis.start();
    await using here = await joinedRegistry({ ...settings, url: redis.url });
    await using there = await joinedRegistry({ ...settings, url: redis.url });
    await body({ here, there });
  },
};

/** A test that is the same for each of them. */
export function test(
  behaviour: string,
  body: (place: Place) => Promise<void>,
  settings: Settings = {},
): void {
  for (const [store, inPlace] of Object.entries(STORES)) {
    Deno.test(`${store}: ${behaviour}`, () => inPlace(body, settings));
  }
}

/** A client with a session. */
export async function established(
  registry: Pick<SessionRegistry, "claim">,
  clientId: string,
): Promise<TestCandidate> {
  const candidate = new TestCandidate(clientId);
  registry.claim(candidate);
  await candidate.reaches("established");
  return candidate;
}
