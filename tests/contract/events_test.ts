/** What every registry promises to tell of its sessions: one suite, two stores. */

import assert from "node:assert/strict";
import type { FollowItem, SessionEvent } from "../../lib/sessions/events/events.ts";
import { type Coordination, inMemory } from "../../lib/sessions/coordination.ts";
import { MemoryEvents } from "../../lib/sessions/events/memory_events.ts";
import { toJson } from "../../lib/sessions/session_entry.ts";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { Follower } from "../support/follower.ts";
import { joined } from "../support/joined.ts";
import { Redis } from "../support/redis.ts";
import { established as establishedIn } from "../support/registries.ts";
import { until } from "../support/wait.ts";

/** Where a suite runs: `here` and `there` are two processes of one service, or the same one. */
interface Place {
  here: Coordination;
  there: Coordination;
}

const STORES: Record<string, (body: (place: Place) => Promise<void>) => Promise<void>> = {
  "MemoryEvents": async (body) => {
    await using only = inMemory();
    await body({ here: only, there: only });
  },
  "RedisEvents, two processes": async (body) => {
    await using redis = await Redis.start();
    await using here = await joined({ url: redis.url });
    await using there = await joined({ url: redis.url });
    await body({ here, there });
  },
};

const established = ({ registry }: Coordination, clientId: string) => establishedIn(registry, clientId);

const told = ({ kind, session }: SessionEvent) => `${kind} ${session.clientId} ${session.sessionId}`;

/** The order of ids: by the moment, then by the number. */
function isAfter(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split("-").map(Number);
  const [bMs = 0, bNumber = 0] = b.split("-").map(Number);
  return aMs > bMs || (aMs === bMs && aNumber > bNumber);
}

for (const [store, inPlace] of Object.entries(STORES)) {
  const test = (behaviour: string, body: (place: Place) => Promise<void>) =>
    Deno.test(`${store}: ${behaviour}`, () => inPlace(body));

  test("a follower hears of every session of every process, in order", async ({ here, there }) => {
    const before = await established(here, "before");
    await using follower = await Follower.start(here);
    const older = await established(there, "kim");
    const newer = await established(here, "kim");
    here.registry.release(newer);
    here.registry.release(before);
    const events = await follower.events(5);
    assert.deepEqual(
      new Set(events.map(told)),
      new Set([
        `opened kim ${older.sessionId}`,
        `replaced kim ${older.sessionId}`,
        `opened kim ${newer.sessionId}`,
        `closed kim ${newer.sessionId}`,
        `closed before ${before.sessionId}`,
      ]),
    );
    assert.deepEqual(
      events.filter(({ session }) => session.clientId === "kim").map(({ kind }) => kind),
      ["opened", "replaced", "opened", "closed"],
    );
  });

  test("an event shows the session as the listing does", async ({ here, there }) => {
    await using follower = await Follower.start(there);
    await established(here, "👨‍👩‍👧 | two words");
    const [event] = await follower.events(1);
    assert.deepEqual(toJson(event!.session), toJson((await listed(there.registry))[0]!));
  });

  test("ids grow, and are the position of whoever comes next", async ({ here }) => {
    await using first = await Follower.start(here);
    for (let i = 0; i < 20; i++) here.registry.release(await established(here, `client ${i}`));
    const events = await first.events(40);
    for (const [i, { id }] of events.entries()) {
      assert.match(id, /^\d+-\d+$/);
      if (i > 0) assert.ok(isAfter(id, events[i - 1]!.id), `${id} comes after ${events[i - 1]!.id}`);
    }
    await using second = await Follower.start(here);
    assert.equal(second.position, events.at(-1)!.id);
  });

  test("a listing and the events since are the truth, whatever goes on meanwhile", async ({ here, there }) => {
    let churning = true;
    let claims = 0;
    const more = async (count: number) => {
      const enough = claims + count;
      await until(() => claims >= enough, () => `there are ${enough} claims, there were ${claims}`);
    };
    const held = new Map<string, [Coordination, TestCandidate]>();
    const churn = async (offset: number) => {
      for (let i = offset; churning; i++) {
        const registry = i % 2 ? here : there;
        const candidate = new TestCandidate(`client ${i % 37}`);
        registry.registry.claim(candidate);
        claims++;
        held.set(candidate.sessionId, [registry, candidate]);
        if (i % 3 === 0) {
          const [sessionId, [holder, old]] = held.entries().next().value!;
          held.delete(sessionId);
          holder.registry.release(old);
        }
        await new Promise((resolve) => setTimeout(resolve, i % 5));
      }
    };
    const churns = Promise.all([churn(0), churn(11), churn(23)]);
    await more(100);
    await using follower = await Follower.start(here);
    const known = new Set(await sessionIds(here.registry));
    await more(200);
    churning = false;
    await churns;
    const atRest = () => held.values().every(([, { state }]) => state !== "waiting");
    await until(atRest, "all have come to rest");
    // each process has told the store in order, so nothing of either comes after these
    const last = new Set<string>([
      (await established(here, "last here")).sessionId,
      (await established(there, "last there")).sessionId,
    ]);
    for await (const { kind, session } of follower) {
      if (kind === "opened") known.add(session.sessionId);
      else known.delete(session.sessionId);
      last.delete(session.sessionId);
      if (last.size === 0) break;
    }
    assert.deepEqual([...known].sort(), (await sessionIds(there.registry)).sort());
  });

  test("of many that race, each that opens ends once, and one is left", async ({ here, there }) => {
    await using follower = await Follower.start(there);
    const racers = Array.from({ length: 100 }, () => new TestCandidate("kim"));
    racers.forEach((racer, i) => (i % 2 ? here : there).registry.claim(racer));
    await until(() => racers.filter(({ state }) => state !== "revoked").length === 1, "one racer is left");
    const winner = racers.find(({ state }) => state !== "revoked")!;
    await winner.reaches("established");
    const open = new Set<string>();
    for await (const { kind, session: { sessionId } } of follower) {
      if (kind === "opened") {
        assert.equal(open.size, 0, "never two at once");
        open.add(sessionId);
      } else {
        assert.equal(kind, "replaced");
        assert.ok(open.delete(sessionId), "it was open");
      }
      if (sessionId === winner.sessionId) break;
    }
    assert.deepEqual([...open], [winner.sessionId]);
  });

  test("between two events lie exactly those that came after the first, up to the second", async ({ here }) => {
    await using follower = await Follower.start(here);
    for (let i = 0; i < 5; i++) here.registry.release(await established(here, `client ${i}`));
    const events = await follower.events(10);
    const between = (a: number, b: number) => here.events.between(events[a]!.id, events[b]!.id);
    assert.deepEqual(await between(0, 9), events.slice(1));
    assert.deepEqual(await between(3, 5), events.slice(4, 6));
    assert.deepEqual(await between(9, 9), []);
  });

  test("a history that does not reach back is said to be none", async ({ here }) => {
    await using follower = await Follower.start(here);
    await established(here, "kim");
    const [{ id } = { id: "" }] = await follower.events(1);
    for (const unknown of ["0-0", "1-1", "999999999999999-0", "", "x", "-", "+", "1", "1-1-1", "\u0000"]) {
      assert.equal(await here.events.between(unknown, id), undefined, JSON.stringify(unknown));
    }
  });

  test("a follower that stops leaves nothing behind, and others go on", async ({ here }) => {
    const first = await Follower.start(here);
    await using second = await Follower.start(here);
    await first[Symbol.asyncDispose]();
    await established(here, "kim");
    assert.equal((await second.events(1)).length, 1);
  });
}

Deno.test("MemoryEvents: a follower that falls behind the history gets a new position", async () => {
  const events = new MemoryEvents({ capacity: 10 });
  const session = { clientId: "kim", sessionId: "s", node: "n", epoch: 1, connectedAtMs: 0 };
  const stop = new AbortController();
  const items = events.follow(stop.signal);
  const kinds: FollowItem["kind"][] = [];
  const next = async () => kinds.push((await items.next()).value!.kind);
  await next();
  for (let i = 0; i < 10; i++) events.add("opened", session);
  await next();
  for (let i = 0; i < 11; i++) events.add("opened", session);
  await next();
  assert.deepEqual(kinds, ["position", "events", "position"]);
  stop.abort();
  assert.equal((await items.next()).done, true);
});
