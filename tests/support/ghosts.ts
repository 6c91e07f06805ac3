import { RedisStore } from "../../lib/sessions/registry/redis/redis_store.ts";
import type { Redis } from "./redis.ts";

/** Leaves sessions of a process that has died: of a node whose lease ends after `leaseMs` and that nobody renews. */
export async function leaveGhosts(redis: Redis, count: number, leaseMs: number): Promise<AsyncDisposable> {
  const connected = Promise.withResolvers<void>();
  const store = new RedisStore({
    url: redis.url,
    prefix: "solo",
    commandTimeoutMs: 1000,
    onConnected: connected.resolve,
    onLost: connected.reject,
  });
  store.reconnect();
  await connected.promise;
  const node = "deadbeef";
  const lease = { node, knownGeneration: "", graceMs: 0, formerNode: "", knownNodes: [] };
  await store.renew({ ...lease, leaseMs: leaseMs + 60_000, mode: "join" });
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const { answer } = await store.claim({
      clientId: `ghost ${i}`,
      sessionId: crypto.randomUUID(),
      node,
      connectedAtMs: Date.now(),
      epoch: "",
      established: false,
      validUntilMs: Date.now() + 10_000,
    });
    if (answer !== "established") throw new Error(`a ghost was answered ${answer}`);
  }));
  await store.renew({ ...lease, leaseMs, mode: "join" });
  return { [Symbol.asyncDispose]: () => store.close() };
}
