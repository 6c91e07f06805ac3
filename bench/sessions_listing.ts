/** `/sessions` of a large cluster, against Redis printing the same content by itself. */

import { setTimeout as delay } from "node:timers/promises";
import { GhostNode } from "../tests/support/ghosts.ts";
import { Redis } from "../tests/support/redis.ts";
import { type Transport, TRANSPORTS, withRedis } from "./sessions_contenders.ts";
import type { ProbeRequest } from "./sessions_probe.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const ENTRIES = 100_000;
const ROUNDS = 9;
const BATCH = 1000;
const ONE_HASH = "one-hash";
/** The lease of what `fill` enters: longer than the whole measurement. */
export const FILL_LEASE_MS = 600_000;

export async function benchListing(): Promise<void> {
  printHeading(`Listing: ${ENTRIES} sessions, ${ROUNDS} times in turn, from the request to the last byte`);
  await using redis = await Redis.start();
  await fill(redis, ENTRIES);
  await copyToOneHash(redis);
  for (const transport of TRANSPORTS) await compare(transport, redis);
}

async function compare(transport: Transport, redis: Redis): Promise<void> {
  await using server = await withRedis(transport, redis.url, "--lease", String(FILL_LEASE_MS / 1000)).start();
  await using probe = new WorkerProcess(new URL("sessions_probe.ts", import.meta.url));
  const ask = (request: ProbeRequest) => probe.ask<number>(request);

  const samples: { listing: number; cli: number; quiet: number; stall: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    await ask({ kind: "watch", port: server.port });
    await delay(200);
    const quiet = await ask({ kind: "longest" });
    const startedAt = performance.now();
    const lines = await get(server.port);
    const listing = performance.now() - startedAt;
    const stall = await ask({ kind: "longest" });
    await ask({ kind: "rest" });
    if (lines !== ENTRIES) throw new Error(`/sessions shows ${lines} lines`);
    const cli = await timeOfCli(redis.port);
    if (round > 0) samples.push({ listing, cli, quiet, stall }); // the first warms up
  }

  const column = (name: keyof typeof samples[0]) => median(samples.map((sample) => sample[name]));
  const ratio = median(samples.map(({ listing, cli }) => listing / cli));
  const longest = Math.max(...samples.map(({ stall }) => stall));
  printTable(["", "time", "of redis-cli", "longest answer of /healthz meanwhile"], [
    [
      "redis-cli HGETALL",
      `${column("cli").toFixed(0)} ms`,
      "1.00×",
      `${column("quiet").toFixed(1)} ms (nothing going on)`,
    ],
    [
      `GET /sessions, ${transport}`,
      `${column("listing").toFixed(0)} ms`,
      times(ratio),
      `${column("stall").toFixed(1)} ms, once ${longest.toFixed(1)} ms`,
    ],
  ]);
  console.log();
  printAim(`${transport}: /sessions takes at most 2× redis-cli HGETALL: ${times(ratio)}`, ratio <= 2);
  printAim(`${transport}: no stall over 50 ms: the longest is ${longest.toFixed(1)} ms`, longest <= 50);
}

/** Enters sessions of one node, `client-0` and so on, in the true form, by the project's own script. */
export async function fill(redis: Redis, count: number): Promise<void> {
  await using ghost = await GhostNode.start(redis, FILL_LEASE_MS);
  for (let start = 0; start < count; start += BATCH) {
    const length = Math.min(BATCH, count - start);
    await Promise.all(Array.from({ length }, (_, i) => ghost.claim(`client-${start + i}`)));
  }
}

/** Puts what is spread over many hashes into one as well. */
async function copyToOneHash(redis: Redis): Promise<void> {
  const copied = await redis.command(
    "EVAL",
    `for _, key in ipairs(redis.call("KEYS", "{solo}:sessions:*")) do
       local content = redis.call("HGETALL", key)
       for i = 1, #content, 2 do redis.call("HSET", KEYS[1], content[i], content[i + 1]) end
     end
     return redis.call("HLEN", KEYS[1])`,
    "1",
    ONE_HASH,
  );
  if (copied !== String(ENTRIES)) throw new Error(`copied ${copied} entries`);
}

/** Reads `/sessions` to its end and counts the lines. */
async function get(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/sessions`);
  let lines = 0;
  for await (const chunk of response.body!) for (const byte of chunk) if (byte === 10) lines++;
  return lines;
}

/** `redis-cli` into a pipe, as `get` reads from a socket. */
async function timeOfCli(port: number): Promise<number> {
  const startedAt = performance.now();
  const args = ["-p", String(port), "HGETALL", ONE_HASH];
  const child = new Deno.Command("redis-cli", { args, stdout: "piped" }).spawn();
  let lines = 0;
  for await (const chunk of child.stdout) for (const byte of chunk) if (byte === 10) lines++;
  await child.status;
  const elapsedMs = performance.now() - startedAt;
  if (lines < 2 * ENTRIES) throw new Error(`redis-cli printed ${lines} lines`);
  return elapsedMs;
}
