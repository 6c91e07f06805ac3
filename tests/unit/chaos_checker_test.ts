/** The checker of the chaos runs, on histories made by hand: each promise broken once, and what is none. */

import assert from "node:assert/strict";
import { RESOLUTION_MS } from "../chaos/case.ts";
import { check } from "../chaos/checker.ts";
import type { Event, FaultKind, Habit } from "../chaos/history.ts";

const LEASE_MS = 3000;
const CLOSE = 8;

/** A history in the making; times in ms from its beginning. */
class Story {
  readonly events: Event[] = [];

  /** A connection that is answered at once and has its session_id 1 ms later. */
  session(conn: string, client: string, at: number, options: { server?: number; habit?: Habit } = {}): this {
    const { server = 0, habit = "good" } = options;
    this.events.push({ kind: "connect", at, conn, client, server, habit });
    this.events.push({ kind: "answer", at, conn, status: 101 });
    return this.frame(conn, at + 1, 1, { text: `session of ${conn}` });
  }

  frame(conn: string, at: number, opcode: number, rest: { text?: string; code?: number } = {}): this {
    this.events.push({ kind: "frame", at, conn, opcode, ...rest });
    return this;
  }

  closed(conn: string, at: number, code: number): this {
    this.frame(conn, at, CLOSE, { code });
    this.events.push({ kind: "end", at: at + 1, conn, how: "eof" });
    return this;
  }

  fault(fault: FaultKind, at: number, until: number, target?: number): this {
    this.events.push({ kind: "fault", fault, at, until, target });
    return this;
  }

  list(at: number, server: number, ...entries: [client: string, conn: string][]): this {
    const sessions = entries.map(([client, conn]) => ({ client, session: `session of ${conn}` }));
    this.events.push({ kind: "list", at, until: at + 1, server, sessions });
    return this;
  }

  add(event: Event): this {
    this.events.push(event);
    return this;
  }

  /** The promises that are broken, in the order of time. */
  get broken(): number[] {
    return check(this.events, { leaseMs: LEASE_MS }).violations.map(({ promise }) => promise);
  }
}

Deno.test("check: a takeover in order is no violation", () => {
  const story = new Story().session("0:1", "kim", 0).session("0:2", "kim", 100).closed("0:1", 101, 4409);
  assert.deepEqual(story.broken, []);
});

Deno.test("check: two sessions of one client at a time break promise 1, and the overlap is told", () => {
  const story = new Story().session("0:1", "kim", 0).session("0:2", "kim", 100).closed("0:1", 151, 4409);
  const { violations } = check(story.events, { leaseMs: LEASE_MS });
  assert.deepEqual(violations.map(({ promise, overlapMs }) => [promise, overlapMs]), [[1, 50]]);
});

Deno.test("check: an overlap within the resolution of the stamps, or within a lag, is told apart", () => {
  const short = new Story().session("0:1", "kim", 0).session("0:2", "kim", 100)
    .closed("0:1", 101 + RESOLUTION_MS - 1, 4409);
  const verdict = check(short.events, { leaseMs: LEASE_MS });
  assert.deepEqual(verdict.violations, []);
  assert.deepEqual(verdict.withinResolution, { count: 1, maxMs: RESOLUTION_MS - 1 });
  const lag = new Story().session("0:1", "kim", 0).session("0:2", "kim", 100).closed("0:1", 300, 4409)
    .add({ kind: "lag", crowd: 0, at: 90, until: 299 });
  assert.deepEqual(lag.broken, []);
});

Deno.test("check: a stopped process may be taken over from when its lease is over, not before", () => {
  const stopped = (takeoverAt: number) =>
    new Story().session("0:1", "kim", 0, { server: 1 }).fault("stop", 1000, 6000, 1)
      .session("0:2", "kim", takeoverAt).closed("0:1", 6001, 1013);
  assert.deepEqual(stopped(1000 + LEASE_MS).broken, []);
  assert.deepEqual(stopped(3000).broken, [1]);
});

Deno.test("check: one may be replaced by a connection that has no answer, as when its process was killed, and not by one that is refused", () => {
  const story = (status?: number) => {
    const story = new Story().session("0:1", "kim", 0)
      .add({ kind: "connect", at: 100, conn: "0:2", client: "kim", server: 1, habit: "good" });
    if (status !== undefined) story.add({ kind: "answer", at: 101, conn: "0:2", status });
    return story.add({ kind: "end", at: 102, conn: "0:2", how: "reset" }).closed("0:1", 103, 4409);
  };
  assert.deepEqual(story().broken, []);
  assert.deepEqual(story(503).broken, [2]);
});

Deno.test("check: one that is replaced though nobody came after it breaks promise 2", () => {
  const story = new Story().session("0:1", "kim", 0).closed("0:1", 50, 4409).session("0:2", "kim", 100);
  assert.deepEqual(story.broken, [2]);
});

Deno.test("check: none, or two, after a quiet time break promise 2", () => {
  const quiet = (story: Story) => story.add({ kind: "quiet", at: 0, until: 5000 });
  const none = new Story().session("0:1", "kim", 400).session("0:2", "kim", 400)
    .closed("0:1", 410, 4409).closed("0:2", 410, 4409);
  assert.ok(quiet(none).broken.includes(2));
  const two = new Story().session("0:1", "kim", 400).session("0:2", "kim", 400);
  assert.ok(quiet(two).broken.includes(2));
  const waiting = new Story().add({
    kind: "connect",
    at: 400,
    conn: "0:1",
    client: "kim",
    server: 0,
    habit: "good",
  }).add({ kind: "answer", at: 401, conn: "0:1", status: 101 });
  assert.deepEqual(quiet(waiting).broken, [2]);
});

Deno.test("check: an entry that outlives its session by more than a lease breaks promise 3", () => {
  const story = (listedAt: number) =>
    new Story().session("0:1", "kim", 0).closed("0:1", 1000, 1001).list(listedAt, 0, ["kim", "0:1"]);
  assert.deepEqual(story(1000 + LEASE_MS).broken, []);
  assert.deepEqual(story(1000 + LEASE_MS + 500).broken, [3]);
});

Deno.test("check: in a quiet time an entry goes at once, and all processes list the same", () => {
  const late = new Story().session("0:1", "kim", 0).closed("0:1", 1000, 1001).list(2000, 0, ["kim", "0:1"])
    .list(4900, 0).add({ kind: "quiet", at: 500, until: 5000 });
  assert.deepEqual(late.broken, [3]);
  const differ = new Story().session("0:1", "kim", 0).list(4900, 0, ["kim", "0:1"]).list(4900, 1)
    .add({ kind: "quiet", at: 500, until: 5000 });
  assert.deepEqual(differ.broken, [3]);
});

Deno.test("check: a frame after the end of the lease, or no end of the session with it, breaks promise 4", () => {
  const cut = (story: Story) => story.fault("cut", 1000, 9000, 1);
  const inTime = new Story().session("0:1", "kim", 0, { server: 1 }).closed("0:1", 3900, 1013);
  assert.deepEqual(cut(inTime).broken, []);
  const late = new Story().session("0:1", "kim", 0, { server: 1 }).closed("0:1", 5000, 1013);
  assert.deepEqual(cut(late).broken, [4]);
  const zombie = new Story().session("0:1", "kim", 0, { server: 1 }).frame("0:1", 4200, 1, { text: "hello" })
    .closed("0:1", 4250, 1013);
  assert.deepEqual(cut(zombie).broken, [4]);
});

Deno.test("check: a short loss of Redis that costs a session breaks promise 4", () => {
  const story = new Story().session("0:1", "kim", 0).fault("redis-loss", 10_000, 11_000)
    .closed("0:1", 12_500, 1013);
  assert.deepEqual(story.broken, [4]);
});

Deno.test("check: a short failover of any kind that costs a session breaks promise 4", () => {
  for (
    const fault of [
      "redis-failover-death",
      "redis-failover-force",
      "redis-migrate",
      "redis-migrate-death",
    ] as const
  ) {
    const story = (until: number) =>
      new Story().session("0:1", "kim", 0).fault(fault, 10_000, until).closed("0:1", 12_500, 1013);
    assert.deepEqual(story(10_500).broken, [4], fault);
    assert.deepEqual(story(12_400).broken, [], `${fault} that took longer`);
  }
});

Deno.test("check: the lease of a server counts from when a migration has silenced Redis, not from its beginning", () => {
  const migration = (closedAt: number) =>
    new Story().session("0:1", "kim", 0).closed("0:1", closedAt, 1013)
      .add({
        kind: "fault",
        fault: "redis-migrate",
        at: 1000,
        until: 9000,
        silent: { at: 3000, until: 9000 },
      });
  assert.deepEqual(migration(5900).broken, []);
  assert.deepEqual(migration(3000 + LEASE_MS + 500).broken, [4]);
});

Deno.test("check: one that does not answer the close and is not cut in time, and a descriptor left over, break promise 5", () => {
  const mute = (endAt: number) =>
    new Story().session("0:1", "kim", 0, { habit: "mute" }).frame("0:1", 1000, CLOSE, { code: 1001 })
      .add({ kind: "end", at: endAt, conn: "0:1", how: "eof" });
  assert.deepEqual(mute(3000).broken, []);
  assert.deepEqual(mute(3500).broken, [5]);
  const standstill: Event = { kind: "lag", at: 100, until: 400, crowd: 0 };
  assert.deepEqual(mute(3500).add(standstill).broken, [], "the server may have had to stand still as well");
  assert.deepEqual(mute(3500).add(standstill).fault("clients-stop", 50, 450, 0).broken, [5]);
  const left = (open: number, lost: number) =>
    new Story().add({ kind: "descriptors", at: 0, server: 0, open, expected: 20, lost });
  assert.deepEqual(left(27, 7).broken, []);
  assert.deepEqual(left(27, 0).broken, [5]);
});

Deno.test("check: a server that ends by itself or does not come back is told", () => {
  const story = new Story().add({ kind: "crash", at: 0, server: 0, code: 1, lastWords: "panic" })
    .add({ kind: "unready", at: 1, server: 1, status: 503 });
  assert.deepEqual(story.broken, [0, 0]);
});

Deno.test("check: an impostor that is let in breaks promise 6", () => {
  assert.deepEqual(new Story().session("0:1", "kim", 0, { habit: "impostor" }).broken, [6]);
  const impostor = (status: number) =>
    new Story().add({ kind: "connect", at: 0, conn: "0:1", client: "kim", server: 0, habit: "impostor" })
      .add({ kind: "answer", at: 1, conn: "0:1", status });
  for (const status of [401, 403, 503]) assert.deepEqual(impostor(status).broken, []);
  assert.deepEqual(impostor(400).broken, [6]);
});

Deno.test("check: a session that makes way for an impostor breaks promise 2", () => {
  const story = new Story().session("0:1", "kim", 0)
    .add({ kind: "connect", at: 100, conn: "0:2", client: "kim", server: 0, habit: "impostor" })
    .add({ kind: "answer", at: 101, conn: "0:2", status: 403 })
    .closed("0:1", 102, 4409);
  assert.deepEqual(story.broken, [2]);
});
