/** What a session costs Redis: its CPU, and the commands that the scripts run, for each connect and each disconnect. */

import { systemClock } from "../lib/service/clock.ts";
import * as connections from "../lib/sessions/redis_connection.ts";
import * as stores from "../lib/sessions/registry/redis/redis_store.ts";
import { Redis } from "../tests/support/redis.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median } from "./support/statistics.ts";

const ROUNDS = 7;
const SESSIONS = 20_000;
const IN_FLIGHT = 64;
const LEASE_MS = 600_000; // nobody renews meanwhile

type Store = InstanceType<typeof stores.RedisStore>;

/** One version of the store, at a Redis of its own. */
interface Contender {
  name: string;
  redis: Redis;
  store: Store;
  terms: { node: string; generation: string; connection: number };
}

/** Of one round: CPU of Redis, µs. */
interface Sample {
  connectUs: number;
  disconnectUs: number;
}

/** @param against A checkout of another version to compare with. */
export async function benchRedis(against?: string): Promise<void> {
  printHeading(
    `Redis: ${SESSIONS} sessions in a round, ${IN_FLIGHT} at a time, ${ROUNDS} rounds in turn; CPU of Redis, as INFO has it`,
  );
  await using cleanUp = new AsyncDisposableStack();
  const contenders = [await contender("this version", connections, stores, cleanUp)];
  if (against) {
    const path = `${against}/lib/sessions`;
    const [otherConnections, otherStores] = await Promise.all([
      import(`${path}/redis_connection.ts`),
      import(`${path}/registry/redis/redis_store.ts`),
    ]);
    contenders.push(await contender(against, otherConnections, otherStores, cleanUp));
  }
  const samples: Sample[][] = contenders.map(() => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, one] of contenders.entries()) {
      const sample = await measure(one);
      if (round > 0) samples[i]!.push(sample); // the first warms up
    }
  }
  const column = (of: Sample[], value: (sample: Sample) => number) =>
    `${median(of.map(value)).toFixed(1)} µs`;
  printTable(
    ["", "connect", "disconnect", "both"],
    contenders.map(({ name }, i) => [
      name,
      column(samples[i]!, ({ connectUs }) => connectUs),
      column(samples[i]!, ({ disconnectUs }) => disconnectUs),
      column(samples[i]!, ({ connectUs, disconnectUs }) => connectUs + disconnectUs),
    ]),
  );
  for (const one of contenders) await printCommands(one);
  const [ours, others] = samples;
  if (!others) return;
  const ratio = median(ours!.map((sample, i) => sample.connectUs / others[i]!.connectUs));
  printAim(`CPU of Redis for a connect at most 0.67× that of ${against}: ${times(ratio)}`, ratio <= 0.67);
}

async function contender(
  name: string,
  { redisAt }: typeof connections,
  { RedisStore }: typeof stores,
  cleanUp: AsyncDisposableStack,
): Promise<Contender> {
  const redis = cleanUp.use(await Redis.start({ fresh: true }));
  const connected = Promise.withResolvers<void>();
  const store = new RedisStore({
    connect: redisAt(redis.url, "{solo}"),
    clock: systemClock,
    prefix: "solo",
    commandTimeoutMs: 60_000,
    takeoverLimit: 10,
    onConnected: connected.resolve,
    onLost: connected.reject,
  });
  cleanUp.defer(() => store.close());
  store.reconnect();
  await connected.promise;
  const node = "bench";
  const lease = await store.renew({
    node,
    connection: store.connection,
    leaseMs: LEASE_MS,
    mode: "join",
    generation: "",
    joins: "0",
    nodes: [],
    epochUs: 0,
    formerNode: "",
  });
  if (lease.answer !== "held") throw new Error(`the lease was answered ${lease.answer}`);
  const key = await redis.command("KEYS", "*:generation"); // another version may call it otherwise
  await redis.command("HSET", key, "settles_at", await redis.command("HGET", key, "now"));
  return { name, redis, store, terms: { node, generation: lease.generation, connection: store.connection } };
}

async function measure({ redis, store, terms }: Contender): Promise<Sample> {
  const sessions = Array.from(
    { length: SESSIONS },
    (_, i) => ({ clientId: `client-${i}`, sessionId: crypto.randomUUID() }),
  );
  const idle = await cpuUs(redis);
  await inFlight(sessions, async (session) => {
    const { answer } = await store.claim({
      ...session,
      ...terms,
      connectedAtMs: Date.now(),
      takesOver: true,
      epoch: "",
      established: false,
      validUntilMs: Date.now() + LEASE_MS,
    });
    if (answer !== "established") throw new Error(`a claim was answered ${answer}`);
  });
  const connected = await cpuUs(redis);
  await inFlight(sessions, async ({ clientId, sessionId }) => {
    if (!await store.release(clientId, sessionId, "held")) throw new Error("a release found no session");
  });
  const disconnected = await cpuUs(redis);
  return { connectUs: (connected - idle) / SESSIONS, disconnectUs: (disconnected - connected) / SESSIONS };
}

async function inFlight<T>(items: T[], task: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    for (const item of left) await task(item);
  }));
}

/** What Redis has used of a CPU so far, µs. */
async function cpuUs(redis: Redis): Promise<number> {
  const info = await redis.command("INFO", "cpu");
  const of = (what: string) =>
    Number(info.match(new RegExp(`^used_cpu_${what}_main_thread:([\\d.]+)`, "m"))?.[1]);
  return (of("user") + of("sys")) * 1e6;
}

/** How often a session, from its connect to its disconnect, has Redis run each command, and how long one took. */
async function printCommands({ name, redis }: Contender): Promise<void> {
  const stats = await redis.command("INFO", "commandstats");
  const rows = [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+),usec=\d+,usec_per_call=([\d.]+)/gm)]
    .map(([, command, calls, us]) => ({
      command: command!,
      perSession: Number(calls) / SESSIONS / (ROUNDS + 1),
      us: Number(us),
    }))
    .filter(({ perSession }) => perSession > 0.01)
    .toSorted((a, b) => b.perSession * b.us - a.perSession * a.us);
  console.log(`\n  ${name}`);
  printTable(
    ["command", "for each session", "each"],
    rows.map(({ command, perSession, us }) => [command, perSession.toFixed(2), `${us.toFixed(2)} µs`]),
  );
}
