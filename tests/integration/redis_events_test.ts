/** What followers hear when nodes die and Redis misbehaves. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { FollowItem } from "../../lib/sessions/events/events.ts";
import type { Coordination } from "../../lib/sessions/coordination.ts";
import { sessionIds, TestCandidate } from "../support/candidate.ts";
import { Follower } from "../support/follower.ts";
import { GhostNode } from "../support/ghosts.ts";
import { joined } from "../support/joined.ts";
import { Redis } from "../support/redis.ts";
import { LASTING_LEASE_MS } from "../support/wait.ts";

async function established({ registry }: Coordination, clientId: string): Promise<TestCandidate> {
  const candidate = new TestCandidate(clientId);
  registry.claim(candidate);
  await candidate.reaches("established");
  return candidate;
}

/** Items until one of that kind, which is the last of them. */
async function itemsUntil(follower: Follower, kind: FollowItem["kind"]): Promise<FollowItem[]> {
  const items = [];
  do items.push(await follower.item()); while (items.at(-1)!.kind !== kind);
  return items;
}

Deno.test("RedisEvents: a connection that is cut costs no event", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await established(a, "kim");
  await using follower = await Follower.start(a);
  await redis.command("CLIENT", "KILL", "TYPE", "normal");
  const missed = await established(a, "missed");
  assert.equal((await follower.item()).kind, "lost");
  const [event] = await follower.events(1);
  assert.deepEqual([event!.kind, event!.session.sessionId], ["opened", missed.sessionId]);
});

Deno.test("RedisEvents: after a loss of data there is a new position, when everyone is listed again", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await using b = await joined({ url: redis.url });
  const kim = await established(a, "kim");
  const lee = await established(b, "lee");
  await using follower = await Follower.start(a);
  await redis.command("FLUSHALL");
  const items = await itemsUntil(follower, "position");
  assert.ok(items.every(({ kind }) => kind !== "lost"));
  assert.deepEqual((await sessionIds(a.registry)).sort(), [kim.sessionId, lee.sessionId].sort());
});

for (
  const [how, away, back] of [
    ["killed", (redis: Redis) => redis.kill(), (redis: Redis) => redis.restart()],
    ["silent", (redis: Redis) => redis.freeze(), (redis: Redis) => redis.thaw()],
  ] as const
) {
  Deno.test(`RedisEvents: when Redis was ${how}, followers know all that is so again`, async () => {
    await using redis = await Redis.start();
    await using a = await joined({ url: redis.url });
    const known = new Set([(await established(a, "kim")).sessionId]);
    await using follower = await Follower.start(a);
    await away(redis);
    assert.equal((await follower.item()).kind, "lost");
    await delay(500);
    await back(redis);
    let item = await follower.item();
    if (how === "killed") {
      assert.equal(item.kind, "position", "its data was lost");
      assert.deepEqual(await sessionIds(a.registry), [...known]);
    } else assert.equal(item.kind, "events", "nothing was lost");
    const lee = await established(a, "lee");
    while (
      !(item.kind === "events" && item.events.some(({ session }) => session.sessionId === lee.sessionId))
    ) {
      item = await follower.item();
    }
  });
}

Deno.test("RedisEvents: the sessions of a dead node are closed after its lease", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await established(a, "first");
  await using ghost = await GhostNode.start(redis, LASTING_LEASE_MS);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => ghost.claim(`ghost ${i}`)));
  await using follower = await Follower.start(a);
  await ghost.expire();
  const events = await follower.events(1000);
  assert.deepEqual(new Set(events.map(({ kind }) => kind)), new Set(["closed"]));
});

Deno.test("RedisEvents: one that waited for a dead node's session replaces it", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await established(a, "first");
  await using ghost = await GhostNode.start(redis, LASTING_LEASE_MS);
  await ghost.claim("ghost 0");
  await using follower = await Follower.start(a);
  await ghost.expire();
  const heir = await established(a, "ghost 0");
  const events = (await follower.events(2)).map((
    { kind, session },
  ) => [kind, session.clientId, session.node]);
  assert.deepEqual(events[0]!.slice(1), ["ghost 0", ghost.node]);
  assert.ok(["replaced", "closed"].includes(events[0]![0]!)); // by the claim that waits, or by a sweep before it
  assert.deepEqual(events[1], ["opened", "ghost 0", a.registry.node]);
  assert.equal(heir.state, "established");
});

Deno.test("RedisEvents: a claim that takes the place of a dead node's session tells of its end, where no sweep has", async () => {
  await using redis = await Redis.start();
  await using dead = await GhostNode.start(redis, LASTING_LEASE_MS);
  await dead.claim("kim");
  await using heir = await GhostNode.start(redis, LASTING_LEASE_MS); // nobody sweeps here
  await dead.expire();
  await heir.claim("kim");
  const entries = await redis.command("XRANGE", "{solo}:events", "-", "+");
  const told = [...entries.matchAll(/^(opened|replaced|closed) \S+ (\S+) .* kim$/gm)]
    .map(([, kind, node]) => [kind, node]);
  assert.deepEqual(told, [["opened", dead.node], ["replaced", dead.node], ["opened", heir.node]]);
});

Deno.test("RedisEvents: a follower behind whom the history was cut gets a new position, and no events with a gap", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await established(a, "first");
  await using follower = await Follower.start(a);
  await fill(redis, 30_000); // it reads only when it is asked
  const last = await established(a, "last");
  assert.equal((await follower.item()).kind, "position");
  assert.ok((await sessionIds(a.registry)).includes(last.sessionId), "what it missed is in the listing");
});

Deno.test("RedisEvents: a history in which data was lost is none", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await using follower = await Follower.start(a);
  await established(a, "kim");
  const [before] = await follower.events(1);
  await redis.command("XADD", "{solo}:events", "*", "e", "reset"); // as where an older history came back
  await established(a, "lee");
  const after = (await redis.command("XREVRANGE", "{solo}:events", "+", "-", "COUNT", "1")).split("\n")[0]!;
  assert.equal(await a.events.between(before!.id, after), undefined);
});

Deno.test("RedisEvents: the stream in Redis does not grow without end", async () => {
  await using redis = await Redis.start();
  await using a = await joined({ url: redis.url });
  await established(a, "first");
  await fill(redis, 30_000);
  await established(a, "next");
  const length = Number(await redis.command("XLEN", "{solo}:events"));
  assert.ok(length >= 20_000 && length < 20_500, `${length} events are kept`);
});

/** Writes events of sessions that there never were. */
async function fill(redis: Redis, count: number): Promise<void> {
  const text = "opened s n 1 1 kim";
  const script = `for i = 1, ${count} do redis.call("XADD", "{solo}:events", "*", "e", "${text}") end`;
  await redis.command("EVAL", script, "0");
}
