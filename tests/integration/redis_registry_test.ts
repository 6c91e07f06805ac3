/** The cluster's registry when Redis misbehaves: what it promises then, with a real Redis. */

import assert from "node:assert/strict";
import { ProgramError } from "../../lib/service/errors.ts";
import { RedisRegistry } from "../../lib/sessions/registry/redis/redis_registry.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { Proxy } from "../chaos/proxy.ts";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { GhostNode } from "../support/ghosts.ts";
import { joinedRegistry } from "../support/joined.ts";
import { Redis } from "../support/redis.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { ENDING_LEASE_MS, LASTING_LEASE_MS, until } from "../support/wait.ts";

function start(redis: Redis, leaseMs: number): Promise<RedisRegistry> {
  return joinedRegistry({ url: redis.url, leaseMs });
}

/** Waits until a process has been told of every other, so that it is a witness of them after a loss of the data. */
async function knowsAll(redis: Redis, { node }: RedisRegistry): Promise<void> {
  await until(async () => {
    const [, , told] = (await redis.command("HGET", "{solo}:members", node)).split(" ");
    return Number(told) >= Number(await redis.command("HGET", "{solo}:generation", "joins"));
  }, `${node} knows of all`);
}

/**
 * What happens to candidates, and the end of a lease among it: what stands before that has not waited for it. Timers of
 * one event loop keep their order, however late they are.
 */
class Journal implements Disposable {
  readonly lines: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  leaseBegins(leaseMs: number): void {
    this.#timer = setTimeout(() => this.lines.push("the lease is over"), leaseMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** A session of a client; one that comes while a slow machine has cost the process its lease comes again. */
async function established(
  registry: RedisRegistry,
  clientId: string,
  journal?: Journal,
): Promise<TestCandidate> {
  for (;;) {
    const candidate = new TestCandidate(clientId, journal?.lines);
    registry.claim(candidate);
    await until(() => candidate.state !== "waiting", "the candidate is answered");
    if (candidate.events.includes("established")) return candidate;
    // one that is cut is told no reason
    if (candidate.state === "revoked") assert.equal(candidate.reason?.kind, "lease-lost");
    await until(() => registry.state === "ready", "a lease");
  }
}

Deno.test("RedisRegistry.start: says within its time why there is no Redis", async () => {
  const url = "redis://:secret@127.0.0.1:1";
  await assert.rejects(
    RedisRegistry.start({ url, startTimeoutMs: 2000 }),
    (error) =>
      error instanceof ProgramError && /ECONNREFUSED.*--redis off/.test(error.message) &&
      !/secret/.test(error.message),
  );
});

Deno.test("RedisRegistry.start: says so when Redis accepts and does not answer", async () => {
  await using redis = await Redis.start();
  redis.freeze();
  await assert.rejects(
    RedisRegistry.start({ url: redis.url, startTimeoutMs: 300 }),
    /accepts connections but does not answer/,
  );
  redis.thaw();
});

Deno.test("RedisRegistry: a wrong password is said as Redis says it", async () => {
  await using redis = await Redis.start();
  await redis.command("CONFIG", "SET", "requirepass", "right");
  const url = redis.url.replace("//", "//:wrong@");
  await assert.rejects(RedisRegistry.start({ url, startTimeoutMs: 2000 }), /WRONGPASS/);
});

Deno.test("RedisRegistry: flushed data is announced again, and nobody is disturbed", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const kim = await established(a, "kim");
  const lee = await established(b, "lee");
  const before = await listed(a);
  await redis.command("FLUSHALL");
  await until(async () => (await listed(b)).length === 2, "both are listed again");
  const byClient = (x: { clientId: string }, y: { clientId: string }) => x.clientId < y.clientId ? -1 : 1;
  assert.deepEqual((await listed(a)).sort(byClient), before.sort(byClient));
  assert.deepEqual([kim.events, lee.events], [["established"], ["established"]]);
});

Deno.test("RedisRegistry: after a loss of data an unknown client waits for a node that has not spoken up, for a lease", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, ENDING_LEASE_MS);
  await established(a, "kim");
  await using ghost = await GhostNode.start(redis, ENDING_LEASE_MS); // alive to all appearances, and cut off from Redis
  await ghost.claim("hidden");
  await knowsAll(redis, a);
  const flushedAtMs = performance.now();
  await redis.command("FLUSHALL");
  await ghost.die();
  const stranger = await established(a, "stranger");
  assert.ok(performance.now() - flushedAtMs > ENDING_LEASE_MS * 0.9, "it had to wait");
  assert.deepEqual(stranger.events, ["established"]);
});

Deno.test("RedisRegistry: after two losses of data a node that has not spoken up in between is still waited for", async () => {
  await using redis = await Redis.start();
  const leaseMs = ENDING_LEASE_MS; // the second one comes before the first is over
  await using a = await start(redis, leaseMs);
  await established(a, "kim");
  await using ghost = await GhostNode.start(redis, leaseMs);
  await ghost.claim("hidden");
  await knowsAll(redis, a);
  await redis.command("FLUSHALL");
  await ghost.die();
  await until(async () => (await listed(a)).length === 1, "kim is announced again");
  await knowsAll(redis, a);
  const flushedAtMs = performance.now();
  await redis.command("FLUSHALL");
  await established(a, "stranger");
  assert.ok(performance.now() - flushedAtMs > leaseMs * 0.9, "it had to wait");
});

Deno.test("RedisRegistry: after a loss of data nobody waits longer than until all nodes have spoken up", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const lee = await established(b, "lee");
  await knowsAll(redis, a);
  await knowsAll(redis, b);
  await redis.command("FLUSHALL");
  using journal = new Journal();
  journal.leaseBegins(LASTING_LEASE_MS);
  const stranger = await established(a, "stranger", journal);
  assert.equal(journal.lines[0], `${stranger.sessionId} established`);
  assert.equal(lee.state, "established");
});

Deno.test("RedisRegistry: a known session is replaced at once after a loss of data", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const older = await established(a, "kim");
  await redis.command("FLUSHALL");
  await until(async () => (await listed(b)).length === 1, "it is announced again");
  using journal = new Journal();
  journal.leaseBegins(LASTING_LEASE_MS);
  const newer = await established(b, "kim", journal);
  assert.equal(journal.lines[0], `${newer.sessionId} established`);
  assert.deepEqual(older.events, ["established", "revoked"]);
  assert.deepEqual(await sessionIds(a), [newer.sessionId]);
});

Deno.test("RedisRegistry: a restart of Redis within the lease costs nobody the session, though all data is lost", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const kim = await established(a, "kim");
  const lee = await established(b, "lee");
  await redis.kill();
  await until(() => a.state === "unreachable" && b.state === "unreachable", "both have noticed");
  await redis.restart();
  await until(() => a.state === "ready" && b.state === "ready", "both hold a lease again");
  await until(async () => (await listed(a)).length === 2, "both are announced");
  assert.deepEqual([kim.events, lee.events], [["established"], ["established"]]);
  const newer = await established(a, "lee");
  assert.deepEqual(lee.events, ["established", "revoked"]);
  assert.equal(newer.state, "established");
});

Deno.test("RedisRegistry: a snapshot from before a takeover does not make two of one", async () => {
  await using folder = await temporaryFolder();
  await using redis = await Redis.start({ args: ["--dir", folder.path] });
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const older = await established(a, "kim");
  await redis.command("SAVE");
  const newer = await established(b, "kim");
  await older.reaches("revoked");
  await redis.kill();
  await redis.restart(); // with what stood there before the takeover
  await until(() => a.state === "ready", "a lease");
  await established(a, "kim");
  assert.match(newer.state, /revoked|cut/, "the one that the snapshot did not know was ended first");
});

for (
  const [name, away, back] of [
    ["killed", (redis: Redis) => redis.kill(), (redis: Redis) => redis.restart()],
    ["silent", (redis: Redis) => redis.freeze(), (redis: Redis) => redis.thaw()],
  ] as const
) {
  Deno.test(`RedisRegistry: when Redis is ${name} for longer than the lease, sessions end before it is over`, async () => {
    await using redis = await Redis.start();
    await using a = await start(redis, ENDING_LEASE_MS);
    using journal = new Journal();
    const kim = await established(a, "kim", journal);
    const late = new TestCandidate("late");
    await away(redis);
    journal.leaseBegins(ENDING_LEASE_MS);
    await until(
      () => kim.events.length > 1,
      "it is told to go, or cut where the machine is too slow for that",
    );
    assert.match(journal.lines[1]!, /revoked|cut/, "before the others may treat it as gone");
    assert.equal(a.state, "unleased");
    a.claim(late);
    assert.deepEqual(late.events, ["revoked"], "without a lease no one is let in");
    const former = a.node;
    await back(redis);
    let node = "";
    await until(() => {
      ({ node } = a);
      return a.state === "ready";
    }, "it recovers by itself");
    assert.equal(node, former, "the new node was named when the lease was lost");
    const again = await established(a, "kim");
    assert.deepEqual(await sessionIds(a), [again.sessionId]);
  });
}

Deno.test("RedisRegistry: sessions that ended with the lease make way at once when Redis is back, however late a renewal took effect", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, ENDING_LEASE_MS);
  await using b = await start(redis, ENDING_LEASE_MS);
  const kim = await established(a, "kim");
  redis.freeze(); // it goes on reading what it has been sent when it thaws
  await until(() => kim.events.length > 1, "it has ended");
  await until(() => b.state === "unleased", "the other one has lost its lease too");
  redis.thaw();
  using journal = new Journal();
  journal.leaseBegins(ENDING_LEASE_MS); // a late renewal, at the latest now
  await until(() => b.state === "ready", "a lease");
  const newer = await established(b, "kim", journal);
  assert.equal(journal.lines[0], `${newer.sessionId} established`);
});

Deno.test("RedisRegistry: a claim made while Redis is away for a moment is answered when it is back", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await established(a, "kim");
  await redis.kill();
  await until(() => a.state === "unreachable", "the loss is noticed");
  const patient = new TestCandidate("patient");
  a.claim(patient);
  await redis.restart();
  await patient.reaches("established");
});

Deno.test("RedisRegistry: a release made while Redis is away is made good when it is back", async () => {
  await using folder = await temporaryFolder();
  await using redis = await Redis.start({ args: ["--dir", folder.path] });
  await using a = await start(redis, LASTING_LEASE_MS);
  const kim = await established(a, "kim");
  await redis.command("SAVE"); // so that the entry comes back
  await redis.kill();
  await until(() => a.state === "unreachable", "the loss is noticed");
  a.release(kim);
  await redis.restart();
  await until(() => a.state === "ready", "a lease");
  await until(async () => (await listed(a)).length === 0, "the entry is gone");
});

Deno.test("RedisRegistry: a message that got lost with the connection is made up for", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  for (let i = 0; i < 10; i++) {
    const older = await established(a, "kim");
    const killing = redis.command("CLIENT", "KILL", "TYPE", "pubsub"); // every node's one connection
    const newer = new TestCandidate("kim");
    b.claim(newer);
    await killing;
    await newer.reaches("established");
    assert.equal(older.state, "revoked");
    b.release(newer);
    // Whoever comes while there is no connection counts from when it came by the clock of its process: within the same
    // millisecond the next may pass for the older.
    await until(async () => (await listed(a)).length === 0, "the newer one has left");
  }
});

Deno.test("RedisRegistry: a claim that comes late, by a connection that was given up, has no effect", async () => {
  await using redis = await Redis.start();
  await using way = new Proxy(redis.port);
  await using a = await joinedRegistry({
    url: `redis://127.0.0.1:${way.port}`,
    leaseMs: ENDING_LEASE_MS,
  });
  await using b = await start(redis, ENDING_LEASE_MS);
  const letGo = way.hold();
  const held = way.accepted;
  const late = new TestCandidate("kim");
  a.claim(late);
  a.release(late); // the client did not wait
  await until(() => way.accepted > held, "the connection is given up, and another one made");
  await until(() => a.state === "ready", "it has a lease again");
  const kim = await established(b, "kim");
  letGo();
  const other = await established(a, "other"); // both have been to Redis since
  await established(b, "another");
  await until(async () => (await listed(b)).length === 3, "nothing is left of the late one");
  assert.deepEqual([late.events, kim.events, other.events], [[], ["established"], ["established"]]);
});

Deno.test("RedisRegistry: a process has its lease though each answer of Redis takes a good part of its patience", async () => {
  await using redis = await Redis.start();
  await using way = new Proxy(redis.port);
  way.mode = { kind: "delay", ms: 80 }; // there, and back again
  const url = `redis://127.0.0.1:${way.port}`;
  await using a = await joinedRegistry({ url, leaseMs: 4000 });
  await established(a, "kim");
});

Deno.test("RedisRegistry: entries of a dead node are not listed, make way at once, and are swept", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await established(a, "alive");
  await using ghost = await GhostNode.start(redis, LASTING_LEASE_MS);
  await ghost.claim("ghost");
  await ghost.claim("other ghost");
  assert.deepEqual(
    new Set((await listed(a)).map(({ clientId }) => clientId)),
    new Set(["alive", "ghost", "other ghost"]),
  );
  await ghost.expire();
  assert.deepEqual((await listed(a)).map(({ clientId }) => clientId), ["alive"], "gone with the lease");
  await established(a, "ghost");
  await until(async () => await lineOf(redis, "other ghost") === "", "the other is swept");
  await until(async () => await redis.command("ZCARD", "{solo}:nodes") === "1", "the dead node is forgotten");
  assert.equal(await redis.command("HLEN", "{solo}:members"), "1");
});

Deno.test("RedisRegistry: who takes a node for dead that has come back takes nothing of it", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  const kim = await established(a, "kim");
  const keys = ["{solo}:generation", bucketOf("kim"), "{solo}:nodes", "{solo}:events"];
  const sweep = ["kim", kim.sessionId, "{solo}:node:", "dead"];
  assert.equal(await redis.command("EVAL", SCRIPTS.release, String(keys.length), ...keys, ...sweep), "0");
  assert.deepEqual(await sessionIds(a), [kim.sessionId]);
});

Deno.test("RedisRegistry: an entry without a socket gives way to a claim", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  await using b = await start(redis, LASTING_LEASE_MS);
  const kim = await established(a, "kim");
  const line = await lineOf(redis, "kim");
  a.release(kim);
  await until(async () => await lineOf(redis, "kim") === "", "the release");
  await redis.command("EVAL", `redis.call("HSET", KEYS[1], "kim", ARGV[1])`, "1", bucketOf("kim"), line);
  await established(b, "kim"); // its node was asked, and knew nothing of it
});

Deno.test("RedisRegistry: two services with different prefixes share a Redis and nothing else", async () => {
  await using redis = await Redis.start();
  for (const prefix of ["one", "two"]) await redis.beKnown(prefix);
  await using a = await joinedRegistry({ url: redis.url, prefix: "one" });
  await using b = await joinedRegistry({ url: redis.url, prefix: "two" });
  const ours = await established(a, "kim");
  await established(b, "kim");
  assert.equal(ours.state, "established");
  assert.equal((await listed(a)).length, 1);
});

Deno.test("RedisRegistry: one that leaves in order leaves nothing behind", async () => {
  await using redis = await Redis.start();
  await using a = await start(redis, LASTING_LEASE_MS);
  const b = await start(redis, LASTING_LEASE_MS);
  await established(b, "kim");
  await b[Symbol.asyncDispose]();
  assert.deepEqual(await listed(a), []);
  assert.equal(await redis.command("ZCARD", "{solo}:nodes"), "1");
});

/** Where the line of a client stands. */
function bucketOf(clientId: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < clientId.length; i++) hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193);
  return `{solo}:sessions:${(hash >>> 0) % 256}`;
}

/** The line of a client as it stands in Redis. */
async function lineOf(redis: Redis, clientId: string): Promise<string> {
  return await redis.command("HGET", bucketOf(clientId), clientId);
}
