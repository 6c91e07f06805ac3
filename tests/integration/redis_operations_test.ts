/** Operations on one client's sessions with a real Redis: what they cost, what is lost on the way, and what data loss leaves. */

import assert from "node:assert/strict";
import type { RedisRegistry } from "../../lib/sessions/registry/redis/redis_registry.ts";
import { TestCandidate } from "../support/candidate.ts";
import { GhostNode } from "../support/ghosts.ts";
import { joinedRegistry } from "../support/joined.ts";
import { Redis } from "../support/redis.ts";
import { LASTING_LEASE_MS, until } from "../support/wait.ts";

function start(redis: Redis): Promise<RedisRegistry> {
  return joinedRegistry({ url: redis.url });
}

async function established(registry: RedisRegistry, clientId: string): Promise<TestCandidate> {
  const candidate = new TestCandidate(clientId);
  registry.claim(candidate);
  await candidate.reaches("established");
  return candidate;
}

/** What Redis has run of the commands that read or write lines, in scripts and by itself. */
async function linesRead(redis: Redis): Promise<Record<string, number>> {
  const stats = await redis.command("INFO", "commandstats");
  const commands = ["hget", "hgetall", "hset", "hscan", "hkeys", "hvals", "keys", "scan"];
  return Object.fromEntries(commands.map((name) => {
    const calls = Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0);
    return [name, calls];
  }));
}

Deno.test("RedisRegistry, find: Redis does the same for one client among ten and among thousands", async () => {
  await using redis = await Redis.start();
  await using registry = await joinedRegistry({ url: redis.url, leaseMs: 600_000 }); // it hardly ever renews
  const costOfHundred = async () => {
    for (;;) {
      await redis.command("CONFIG", "RESETSTAT");
      for (let i = 0; i < 100; i++) {
        assert.equal((await registry.find(`client ${i % 10}`))?.clientId, `client ${i % 10}`);
      }
      const read = await linesRead(redis);
      if (read.hset === 0) return read; // else a renewal, which looks after some sessions, came in between
    }
  };
  for (let i = 0; i < 10; i++) await established(registry, `client ${i}`);
  const few = await costOfHundred();
  const more = Array.from({ length: 5_000 }, (_, i) => new TestCandidate(`other ${i}`));
  for (const candidate of more) registry.claim(candidate);
  await until(() => more.every(({ state }) => state === "established"), "all are established");
  const many = await costOfHundred();
  assert.deepEqual(many, few);
  assert.equal(many.hgetall, 0, "no bucket is read as a whole");
  assert.ok(many.hget! >= 100, "it was looked");
});

Deno.test("RedisRegistry, end: a session of a process that never answers has ended when its lease is over", async () => {
  await using redis = await Redis.start();
  await using registry = await start(redis);
  await using ghost = await GhostNode.start(redis, LASTING_LEASE_MS);
  await ghost.claim("dead");
  assert.equal((await registry.find("dead"))?.node, ghost.node);
  await ghost.die();
  let ended = false;
  const end = registry.end("dead").finally(() => ended = true);
  await registry.find("another"); // and so Redis has had both, and looked at all of it
  assert.equal(ended, false, "its lease is not over");
  await ghost.expire();
  assert.deepEqual(await end, { kind: "ended" });
  assert.equal(await registry.find("dead"), undefined);
});

Deno.test("RedisRegistry, end: an entry that nobody holds is gone, and newcomers are let in", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis);
  await using b = await start(redis);
  const kim = await established(a, "kim");
  // what a rollback of the data would bring back: a has long ended it
  const buckets = (await redis.command("KEYS", "{solo}:sessions:*")).split("\n");
  const line = await redis.command("HGET", buckets[0]!, "kim");
  a.release(kim);
  await until(async () => await redis.command("HGET", buckets[0]!, "kim") === "", "the release");
  await redis.command("HSET", buckets[0]!, "kim", line);
  assert.deepEqual(await b.end("kim"), { kind: "ended" });
  assert.deepEqual(kim.events, ["established"], "it was told nothing more");
  await established(b, "kim");
});

Deno.test("RedisRegistry, end: a message that is lost is sent again", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis);
  await using b = await start(redis);
  const kim = await established(a, "kim");
  const connections = (await redis.command("CLIENT", "LIST", "TYPE", "PUBSUB")).split("\n");
  const node = (await b.find("kim"))!.node;
  // its process loses its connection in the moment in which it is told
  const end = b.end("kim");
  for (const connection of connections) {
    const [, id] = /^id=(\d+)/.exec(connection)!;
    await redis.command("CLIENT", "KILL", "ID", id!);
  }
  assert.deepEqual(await end, { kind: "ended" });
  assert.deepEqual(kim.events, ["established", "revoked"]);
  assert.equal(a.node, node, "it has kept its lease");
});

Deno.test("RedisRegistry, blocks: they outlast a loss of the data, and a process that comes later knows them", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis);
  await using b = await start(redis);
  assert.deepEqual(await a.end("kim", { blockMs: 3_600_000 }), { kind: "nobody" });
  await until(() => b.blockedMs("kim") > 3_000_000, "the other one knows");
  await redis.command("FLUSHALL");
  await until(async () => await redis.command("ZSCORE", "{solo}:blocked", "kim") !== "", "it is put back");
  await using c = await start(redis);
  await until(() => c.blockedMs("kim") > 3_000_000, "one that comes later knows");
  const refused = new TestCandidate("kim");
  c.claim(refused);
  await refused.reaches("revoked");
  assert.deepEqual(refused.reason, { kind: "blocked" });
});

Deno.test("RedisRegistry, blocks: there is a bound, and beyond it nothing is done", async () => {
  await using redis = await Redis.start();
  await using registry = await start(redis);
  const kim = await established(registry, "kim");
  const far = String(Date.now() + 3_600_000);
  const fill = `for i = 1, 10000 do redis.call("ZADD", KEYS[1], ARGV[1], "other " .. i) end`;
  await redis.command("EVAL", fill, "1", "{solo}:blocked", far);
  assert.deepEqual(await registry.end("kim", { blockMs: 1000 }), { kind: "full" });
  assert.equal(kim.state, "established");
  await redis.command("ZADD", "{solo}:blocked", "1", "other 1"); // its block is over
  assert.deepEqual(await registry.end("kim", { blockMs: 1000 }), { kind: "ended" });
  assert.equal(await redis.command("ZCARD", "{solo}:blocked"), "10000", "what is over is forgotten");
});
