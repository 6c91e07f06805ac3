/** The stream of events as its readers get it, over a registry in memory. */

import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EventStream, type EventStreamOptions } from "../../lib/sessions/events/event_stream.ts";
import type { FollowItem, SessionEvents } from "../../lib/sessions/events/events.ts";
import { inMemory } from "../../lib/sessions/coordination.ts";
import type { MemoryRegistry } from "../../lib/sessions/registry/memory_registry.ts";
import { RegistryUnreachableError, type SessionRegistry } from "../../lib/sessions/registry/registry.ts";
import { TestCandidate } from "../support/candidate.ts";
import { EventReader } from "../support/event_reader.ts";
import { until } from "../support/wait.ts";

function test(behaviour: string, fn: () => Promise<void>): void {
  Deno.test({ name: `EventStream: ${behaviour}`, permissions: "none", fn });
}

/** Claims in turn, so that the registry has them in order. */
function claim(registry: SessionRegistry, ...clientIds: string[]): TestCandidate[] {
  return clientIds.map((clientId) => {
    const candidate = new TestCandidate(clientId);
    registry.claim(candidate);
    return candidate;
  });
}

function streamOf(
  options: Partial<EventStreamOptions> = {},
): { registry: MemoryRegistry; stream: EventStream } {
  const { registry, events } = inMemory();
  return { registry, stream: new EventStream({ list: () => registry.list(), events, ...options }) };
}

test("a reader gets all sessions, then what becomes of them", async () => {
  const { registry, stream } = streamOf();
  const [kim, lee] = claim(registry, "kim", "lee");
  await using reader = new EventReader(stream.open(""));
  assert.deepEqual((await reader.live()).map(({ event }) => event), ["snapshot", "sessions", "live"]);
  assert.deepEqual(reader.sessions, new Map([[kim!.sessionId, "kim"], [lee!.sessionId, "lee"]]));
  registry.release(kim!);
  const [newer] = claim(registry, "lee");
  const events = await reader.until(({ event, data }) =>
    event === "opened" && data.session_id === newer!.sessionId
  );
  assert.deepEqual(events.map(({ event }) => event), ["closed", "replaced", "opened"]);
  assert.deepEqual(reader.sessions, new Map([[newer!.sessionId, "lee"]]));
});

test("an event says who, where, since when, and when it happened", async () => {
  const { registry, stream } = streamOf();
  await using reader = new EventReader(stream.open(""));
  await reader.live();
  const [kim] = claim(registry, "kim");
  const { id, data } = (await reader.next())!;
  assert.deepEqual(data, {
    client_id: "kim",
    session_id: kim!.sessionId,
    node: registry.node,
    epoch: 1,
    connected_at: new Date(kim!.connectedAtMs).toISOString(),
    at: new Date(Number(id!.split("-")[0])).toISOString(),
  });
});

test("a reader that comes back gets what it missed and no snapshot", async () => {
  const { registry, stream } = streamOf();
  claim(registry, "kim");
  const first = new EventReader(stream.open(""));
  await first.live();
  claim(registry, "lee");
  await first.next();
  await first[Symbol.asyncDispose]();
  const [max] = claim(registry, "max");
  await using second = new EventReader(stream.open(first.lastEventId));
  const messages = await second.live();
  assert.deepEqual(messages.map(({ event }) => event), ["opened", "live"]);
  assert.equal(messages[0]!.data.session_id, max!.sessionId);
});

test("a reader that has seen what nobody remembers gets a snapshot", async () => {
  const { registry, stream } = streamOf();
  claim(registry, "kim");
  await using reader = new EventReader(stream.open("1-1"));
  assert.deepEqual((await reader.live()).map(({ event }) => event), ["snapshot", "sessions", "live"]);
});

test("the sessions are all told, once, when they open and close while the snapshot is read", async () => {
  const { registry, stream } = streamOf();
  for (let i = 0; i < 5000; i++) claim(registry, `client ${i}`);
  await using reader = new EventReader(stream.open(""));
  await reader.until(({ event }) => event === "sessions"); // of several
  const late = claim(registry, "late", "client 7", "client 4999");
  await until(() => late.every(({ state }) => state === "established"), "the late ones are established");
  registry.release(late[0]!);
  await reader.live();
  await reader.until(({ event, data }) => event === "closed" && data.session_id === late[0]!.sessionId);
  const listed = (await Array.fromAsync(registry.list())).flat();
  assert.deepEqual([...reader.sessions.keys()].sort(), listed.map(({ sessionId }) => sessionId).sort());
});

test("says from time to time that it is there", async () => {
  const { stream } = streamOf({ beatMs: 20 });
  await using reader = new EventReader(stream.open(""));
  await reader.live();
  assert.equal((await reader.next())!.event, "beat");
  assert.equal((await reader.next())!.event, "beat");
});

test("one that falls behind what is kept is cut, the others are not", async () => {
  let cut = 0;
  const { registry, stream } = streamOf({ maxBytes: 4096, onCut: () => cut++ });
  let left = 0;
  const slow = stream.open("", () => left++).getReader();
  await slow.read();
  await using quick = new EventReader(stream.open(""));
  await quick.live();
  while (
    !new TextDecoder().decode((await slow.read()).value).includes("event: live")
  ) { /* until it is there */ }
  for (let i = 0; cut === 0 && i < 1000; i++) {
    const [candidate] = claim(registry, `client ${i}`);
    await quick.until(({ data }) => data.session_id === candidate!.sessionId);
  }
  assert.equal(cut, 1);
  assert.equal(stream.readers, 1);
  assert.equal(left, 1, "its place is free");
  await assert.rejects(() => slow.read(), /the reader is too slow/);
});

test("a batch that is larger than all that is kept is sent all the same", async () => {
  const { registry, stream } = streamOf({ maxBytes: 10, onCut: () => assert.fail("cut") });
  await using reader = new EventReader(stream.open(""));
  await reader.live();
  for (const clientId of ["kim", "lee"]) {
    const [candidate] = claim(registry, clientId);
    assert.equal((await reader.next())!.data.session_id, candidate!.sessionId);
  }
});

test("who comes when nobody has read for a while waits for a position of now", async () => {
  const { registry } = inMemory();
  const positions = [1, 2].map(() => Promise.withResolvers<string>());
  let follows = 0;
  const events: SessionEvents = {
    async *follow(signal) {
      yield { kind: "position", id: await positions[follows++]!.promise };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
    between: () => Promise.resolve(undefined),
  };
  const stream = new EventStream({ list: () => registry.list(), events });
  const first = new EventReader(stream.open(""));
  positions[0]!.resolve("1-0");
  await first.live();
  await first[Symbol.asyncDispose]();
  await using second = new EventReader(stream.open(""));
  const live = second.live();
  await nextTurn(); // it has had every chance to go by what was known before
  positions[1]!.resolve("2-0");
  assert.equal((await live).at(-1)!.id, "2-0");
});

test("one that takes nothing is cut, though little happens", async () => {
  let cut = 0;
  let left = 0;
  const { stream } = streamOf({ beatMs: 10, stallMs: 50, onCut: () => cut++ });
  const stuck = stream.open("", () => left++).getReader();
  await stuck.read();
  await stuck.read();
  await until(() => cut === 1, "it is cut");
  assert.deepEqual([stream.readers, left], [0, 1]);
});

test("one that only waits for events is not taken for slow", async () => {
  const { registry, stream } = streamOf({ beatMs: 50, stallMs: 20, onCut: () => assert.fail("cut") });
  await using reader = new EventReader(stream.open(""));
  await reader.live();
  await reader.until(({ event }) => event === "beat");
  claim(registry, "kim");
  await reader.until(({ event }) => event === "opened");
});

test("follows only while there are readers", async () => {
  const { registry, events } = inMemory();
  let following = 0;
  const watched: SessionEvents = {
    async *follow(signal) {
      following++;
      try {
        yield* events.follow(signal);
      } finally {
        following--;
      }
    },
    between: (after, upTo) => events.between(after, upTo),
  };
  const stream = new EventStream({ list: () => registry.list(), events: watched });
  for (let round = 0; round < 3; round++) {
    assert.equal(following, 0);
    const readers = [1, 2, 3].map(() => new EventReader(stream.open("")));
    await Promise.all(readers.map((reader) => reader.live()));
    assert.equal(following, 1, "once for all");
    for (const reader of readers) await reader[Symbol.asyncDispose]();
    assert.equal(stream.readers, 0);
    await until(() => following === 0, "nobody follows");
  }
});

test("when the store is away, says so, and then either goes on or starts again", async () => {
  const { registry } = inMemory();
  const items = new TransformStream<FollowItem, FollowItem>();
  const writer = items.writable.getWriter();
  const events: SessionEvents = {
    follow: () => items.readable.values(),
    between: () => Promise.resolve(undefined),
  };
  const stream = new EventStream({ list: () => registry.list(), events });
  await using reader = new EventReader(stream.open(""));
  await writer.write({ kind: "position", id: "1-0" });
  await reader.live();
  await writer.write({ kind: "lost" });
  assert.equal((await reader.next())!.event, "paused");
  await writer.write({ kind: "events", events: [] });
  assert.equal((await reader.next())!.event, "live");
  await writer.write({ kind: "lost" });
  assert.equal((await reader.next())!.event, "paused");
  claim(registry, "kim");
  await writer.write({ kind: "position", id: "2-0" });
  assert.deepEqual((await reader.live()).map(({ event }) => event), ["snapshot", "sessions", "live"]);
  assert.deepEqual([...reader.sessions.values()], ["kim"]);
  await writer.close();
});

test("when the listing fails, the reader is sent away to come again", async () => {
  const { events } = inMemory();
  // deno-lint-ignore require-yield
  const list = async function* () {
    throw new RegistryUnreachableError("Redis did not answer");
  };
  const stream = new EventStream({ list, events });
  await using reader = new EventReader(stream.open(""));
  assert.equal((await reader.next())!.event, "snapshot");
  assert.equal(await reader.next(), undefined);
});

test("ends every answer when it is ended, and those that come later at once", async () => {
  const { stream } = streamOf();
  await using reader = new EventReader(stream.open(""));
  await reader.live();
  stream.end();
  assert.equal(await reader.next(), undefined);
  await using late = new EventReader(stream.open(""));
  assert.equal(await late.next(), undefined);
  assert.equal(stream.readers, 0);
});
