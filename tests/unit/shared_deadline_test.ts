import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DeadlineError } from "../../lib/service/clock.ts";
import { SharedDeadline } from "../../lib/service/shared_deadline.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** A deadline by a clock that the test turns, and how the waits have ended, in order. */
function deadlineOf(timeoutMs: number) {
  const clock = new FakeClock();
  const deadline = new SharedDeadline(timeoutMs, "no answer", clock);
  const ends: string[] = [];
  const limit = (name: string, promise: Promise<unknown>) =>
    void deadline.limit(promise).then(
      () => ends.push(name),
      (error) => ends.push(`${name}: ${error instanceof DeadlineError ? "late" : error.message}`),
    );
  const endsAfter = async (ms: number) => {
    clock.advance(ms);
    await nextTurn();
    return ends;
  };
  return { deadline, limit, endsAfter };
}

const never = new Promise(() => {});

Deno.test("SharedDeadline: each wait has the whole time, however many began before it", async () => {
  const { deadline, limit, endsAfter } = deadlineOf(60);
  using _deadline = deadline;
  limit("first", never);
  await endsAfter(30);
  const answer = Promise.withResolvers<void>();
  limit("answered", answer.promise);
  limit("second", never);
  assert.deepEqual(await endsAfter(29), []);
  assert.deepEqual(await endsAfter(1), ["first: late"]);
  answer.resolve();
  assert.deepEqual(await endsAfter(29), ["first: late", "answered"]);
  assert.deepEqual(await endsAfter(1), ["first: late", "answered", "second: late"]);
});

Deno.test("SharedDeadline: a failure in time is passed on, one after the end is not heard of", async () => {
  const { deadline, limit, endsAfter } = deadlineOf(20);
  using _deadline = deadline;
  const failing = Promise.withResolvers<void>();
  limit("refused", Promise.reject(new TypeError("no")));
  limit("failing", failing.promise);
  assert.deepEqual(await endsAfter(0), ["refused: no"]);
  assert.deepEqual(await endsAfter(20), ["refused: no", "failing: late"]);
  failing.reject(new TypeError("too late")); // an unhandled rejection would fail this test
  assert.deepEqual(await endsAfter(20), ["refused: no", "failing: late"]);
});

Deno.test("SharedDeadline: it serves again after it had nothing to wait for", async () => {
  const { deadline, limit, endsAfter } = deadlineOf(20);
  using _deadline = deadline;
  limit("first", never);
  await endsAfter(20);
  await endsAfter(30);
  limit("second", never);
  assert.deepEqual(await endsAfter(19), ["first: late"]);
  assert.deepEqual(await endsAfter(1), ["first: late", "second: late"]);
});

Deno.test("SharedDeadline: says what was waited for, and how long", async () => {
  const clock = new FakeClock();
  using deadline = new SharedDeadline(20, "no answer", clock);
  const refused = assert.rejects(deadline.limit(never), /^DeadlineError: no answer within 20 ms$/);
  clock.advance(20);
  await refused;
});
