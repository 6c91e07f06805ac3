/** How many takeovers a minute has room for, by a clock that the test turns. */

import assert from "node:assert/strict";
import { RecentTakeovers } from "../../lib/sessions/registry/recent_takeovers.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("RecentTakeovers: there is room again a minute after each, and not before", () => {
  const clock = new FakeClock();
  const takeovers = new RecentTakeovers(3, clock);
  const taken: number[] = [];
  for (let s = 0; s < 300; s++) {
    if (takeovers.take("kim") === "taken") taken.push(s);
    clock.advance(1000);
  }
  const minutes = [0, 60, 120, 180, 240].flatMap((s) => [s, s + 1, s + 2]);
  assert.deepEqual(taken, minutes);
});

Deno.test("RecentTakeovers: of those that find no room one is the first, until two minutes without a takeover", () => {
  const clock = new FakeClock();
  const takeovers = new RecentTakeovers(1, clock);
  const takeEvery = (ms: number, times: number) =>
    Array.from({ length: times }, () => {
      const answer = takeovers.take("kim");
      clock.advance(ms);
      return answer;
    });
  const duel = takeEvery(20_000, 30);
  assert.equal(duel.filter((answer) => answer === "taken").length, 10, "one a minute");
  assert.deepEqual(duel.flatMap((answer, i) => answer === "none-first" ? [i] : []), [1]);
  clock.advance(120_000);
  assert.deepEqual(takeEvery(20_000, 3), ["taken", "none-first", "none"], "another one");
});

Deno.test("RecentTakeovers: whoever was not taken over for two minutes is forgotten", () => {
  const clock = new FakeClock();
  const takeovers = new RecentTakeovers(10, clock);
  for (let i = 0; i < 1000; i++) {
    takeovers.take(`client ${i}`);
    if (i % 2) takeovers.take("often");
    clock.advance(1000);
  }
  assert.ok(takeovers.size <= 121, `${takeovers.size} are remembered`);
});

Deno.test("RecentTakeovers: without a limit nobody is remembered", () => {
  const takeovers = new RecentTakeovers(0, new FakeClock());
  for (let i = 0; i < 100; i++) assert.equal(takeovers.take("kim"), "taken");
  assert.equal(takeovers.size, 0);
});
