/** The pace of a drain, by a clock that the test turns. */

import assert from "node:assert/strict";
import { Drain, type DrainPlan } from "../../lib/sessions/drain.ts";
import { FakeClock } from "../support/fake_clock.ts";

const LOOK_MS = 100;

/** Runs a drain of sessions `0` to `count - 1`. @returns how many were closed in each look of 100 ms. */
async function closesOf(
  plan: DrainPlan,
  { endsByItself = () => false, standsStill = () => 0 }: {
    endsByItself?: (session: number) => boolean;
    /** How long the process is held up before a look, ms. */
    standsStill?: (look: number) => number;
  } = {},
) {
  const clock = new FakeClock();
  const sessions = new Set(Array.from({ length: plan.count }, (_, i) => i));
  let closed = 0;
  let over = false;
  const close = (session: number) => {
    assert.ok(sessions.delete(session), "each is closed once");
    closed++;
  };
  const drain = new Drain(plan);
  const ended = drain.run(sessions, close, { clock, signal: new AbortController().signal });
  ended.then(() => over = true);
  for (const session of sessions) if (endsByItself(session)) sessions.delete(session);
  const looks: number[] = [];
  while (!over && looks.length < 10_000) {
    const before = closed;
    const stoodMs = standsStill(looks.length);
    if (stoodMs > 0) clock.stand(stoodMs);
    for (let ms = stoodMs; ms < LOOK_MS; ms++) {
      clock.advance(1);
      for (let turn = 0; turn < 5; turn++) await undefined;
    }
    looks.push(closed - before);
  }
  assert.ok(over, "it comes to an end");
  return { looks, closed, sessions };
}

Deno.test("Drain: sessions are closed evenly, at the rate", async () => {
  const plan = { count: 5000, perSecond: 1000, leftMs: 30_000, answerMs: 2500 };
  const { looks, closed } = await closesOf(plan);
  assert.equal(closed, 5000);
  assert.ok(looks.length >= 50 && looks.length <= 52, `it took ${looks.length / 10} s`);
  assert.ok(looks.every((count) => count <= 110), `more than the rate at once: ${looks}`);
  assert.ok(looks.slice(0, -2).every((count) => count >= 90), `less than the rate: ${looks}`);
});

Deno.test("Drain: a rate of a few a second is kept, too", async () => {
  const { looks } = await closesOf({ count: 4, perSecond: 2, leftMs: 30_000, answerMs: 2500 });
  const at = looks.flatMap((count, i) => Array.from({ length: count }, () => i));
  assert.equal(at.length, 4);
  for (let i = 1; i < at.length; i++) {
    assert.ok(at[i]! - at[i - 1]! >= 4, `closes at ${at}, in tenths of a second`);
  }
});

Deno.test("Drain: a rate of less than one in the longest step is no slower than it says", async () => {
  for (const perSecond of [1, 2, 5, 9]) {
    const { looks } = await closesOf({ count: 8, perSecond, leftMs: 60_000, answerMs: 2500 });
    const firstAt = looks.findIndex((count) => count > 0);
    const tookMs = (looks.length - 1 - firstAt) * LOOK_MS;
    const expectedMs = 7 / perSecond * 1000;
    assert.ok(
      Math.abs(tookMs - expectedMs) <= 2 * LOOK_MS,
      `${perSecond} a second: ${tookMs} ms, not ${expectedMs}`,
    );
  }
});

Deno.test("Drain: where the rate would need too long it goes as fast as it must, and leaves peers their time to answer", async () => {
  const plan = { count: 5000, perSecond: 100, leftMs: 10_000, answerMs: 2500 };
  const { looks, closed } = await closesOf(plan);
  assert.equal(closed, 5000);
  assert.ok(looks.length >= 73 && looks.length <= 76, `it took ${looks.length / 10} s of 7.5`);
  assert.ok(Math.max(...looks) <= 80, `it is even: ${looks}`);
});

Deno.test("Drain: with no time at all everybody is closed at once", async () => {
  const { looks } = await closesOf({ count: 5000, perSecond: 1000, leftMs: 0, answerMs: 2500 });
  assert.equal(looks[0], 5000);
});

Deno.test("Drain: those that have ended by themselves are not waited for", async () => {
  const plan = { count: 5000, perSecond: 1000, leftMs: 30_000, answerMs: 2500 };
  const { looks, closed } = await closesOf(plan, { endsByItself: (session) => session % 2 === 0 });
  assert.equal(closed, 2500);
  assert.ok(looks.length <= 27, `it took ${looks.length / 10} s`);
});

Deno.test("Drain: a process that was held up does not make good all of it at once", async () => {
  const plan = { count: 5000, perSecond: 1000, leftMs: 30_000, answerMs: 2500 };
  const { looks, closed } = await closesOf(plan, { standsStill: (look) => look === 10 ? 3000 : 0 });
  assert.equal(closed, 5000);
  assert.ok(Math.max(...looks) <= 210, `${looks}`);
});

Deno.test("Drain: one that is over before its time closes nobody more", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const plan = { count: 10, perSecond: 10, leftMs: 30_000, answerMs: 2500 };
  const closed: number[] = [];
  const close = (session: number) => {
    closed.push(session);
    stop.abort();
  };
  const sessions = new Set(Array.from({ length: plan.count }, (_, i) => i));
  const ended = new Drain(plan).run(sessions, close, {
    // a second passes with each look at it
    clock: {
      nowMs: () => (clock.advance(1000), clock.nowMs()),
      wallMs: () => clock.wallMs(),
      after: (ms, callback) => clock.after(ms, callback),
      nextTurn: () => clock.nextTurn(),
    },
    signal: stop.signal,
  });
  while (closed.length === 0) {
    clock.advance(100);
    await undefined;
  }
  await ended;
  assert.ok(closed.length < plan.count, `${closed.length} are closed`);
});

Deno.test("Drain: the reason names a wait that brings clients back at the rate, and fits into a close frame", () => {
  const plan = { count: 5000, perSecond: 1000, leftMs: 30_000, answerMs: 2500 };
  const even = new Drain(plan);
  assert.equal(even.hurried, false);
  assert.equal(even.farewell.code, 1001);
  assert.equal(even.farewell.reason, "the server is going away; reconnect within 2 s");

  const hurried = new Drain({ ...plan, perSecond: 100 });
  assert.equal(hurried.hurried, true);
  assert.equal(hurried.withinS, 50, "5,000 clients, 100 of them a second");
  const most = new Drain({ ...plan, count: 20_000_000, perSecond: 1 });
  assert.ok(new TextEncoder().encode(most.farewell.reason).length <= 123);
  assert.match(most.farewell.reason, / within \d{1,5} s$/, "clients read no more digits");
});
