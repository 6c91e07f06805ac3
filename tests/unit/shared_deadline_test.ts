import assert from "node:assert/strict";
import { DeadlineError } from "../../lib/service/clock.ts";
import { SharedDeadline } from "../../lib/service/shared_deadline.ts";

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("SharedDeadline: each wait has the whole time, however many began before it", async () => {
  using deadline = new SharedDeadline(60, "no answer");
  const ends: string[] = [];
  const never = (name: string) =>
    deadline.limit(new Promise(() => {})).catch((error) => {
      assert.ok(error instanceof DeadlineError);
      ends.push(name);
    });
  const first = never("first");
  await delay(30);
  const answered = deadline.limit(delay(40)).then(() => ends.push("answered"));
  const second = never("second");
  await Promise.all([first, answered, second]);
  assert.deepEqual(ends, ["first", "answered", "second"]);
});

Deno.test("SharedDeadline: a failure in time is passed on, one after the end is not heard of", async () => {
  using deadline = new SharedDeadline(20, "no answer");
  await assert.rejects(deadline.limit(Promise.reject(new TypeError("refused"))), TypeError);
  await assert.rejects(
    deadline.limit(delay(40).then(() => Promise.reject(new TypeError("late")))),
    DeadlineError,
  );
  await delay(40); // an unhandled rejection would fail this test
});

Deno.test("SharedDeadline: it serves again after it had nothing to wait for", async () => {
  using deadline = new SharedDeadline(20, "no answer");
  await assert.rejects(deadline.limit(new Promise(() => {})), /no answer within 20 ms/);
  await delay(30);
  await assert.rejects(deadline.limit(new Promise(() => {})), DeadlineError);
});
