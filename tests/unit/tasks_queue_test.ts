import assert from "node:assert/strict";
import fc from "fast-check";
import { Line } from "../../lib/tasks/line.ts";
import { type QueueLimits, type Task, TaskQueue } from "../../lib/tasks/queue.ts";
import { FakeClock } from "../support/fake_clock.ts";

const OWNER = 1;

function createQueue(limits: Partial<QueueLimits> = {}, clock = new FakeClock()): TaskQueue {
  return new TaskQueue(
    { maxWaiting: 100, maxWaitingBytes: 10_000, maxKept: 100, maxKeptBytes: 10_000, ...limits },
    clock,
  );
}

const add = (queue: TaskQueue, data = "data") => queue.add("echo", data, OWNER)!;
const ids = (tasks: Iterable<Task>) => Array.from(tasks, ({ id }) => id);

Deno.test("TaskQueue: a task waits, executes and succeeds", () => {
  const clock = new FakeClock();
  const queue = createQueue({}, clock);
  clock.advance(5);
  const task = add(queue);
  assert.deepEqual([task.id, task.status, task.data, task.result], [1, "waiting", "data", null]);
  clock.advance(10);
  assert.equal(queue.startNext(), task);
  assert.deepEqual([task.status, task.addedAtMs, task.startedAtMs], ["execute", 5, 15]);
  queue.finish(task, { result: "done" });
  assert.deepEqual([task.status, task.result, task.error, task.data], ["success", "done", undefined, ""]);
  assert.deepEqual(queue.counts, { waiting: 0, executing: 0, kept: 1, succeeded: 1, failed: 0 });
});

Deno.test("TaskQueue: a task that fails is in error and the next one executes", () => {
  const queue = createQueue();
  const [first, second] = [add(queue), add(queue)];
  queue.finish(queue.startNext()!, { error: "why" });
  assert.deepEqual([first.status, first.result, first.error], ["error", null, "why"]);
  assert.equal(queue.startNext(), second);
});

Deno.test("TaskQueue: never two execute", () => {
  const queue = createQueue();
  const [first, second] = [add(queue), add(queue)];
  queue.startNext();
  assert.equal(queue.startNext(), undefined);
  assert.throws(() => queue.finish(second, { result: "" }), /Cannot finish task 2: it is waiting/);
  queue.finish(first, { result: "" });
  assert.throws(() => queue.finish(first, { result: "" }), /Cannot finish task 1: it is success/);
});

Deno.test("TaskQueue: positions count from the next one and close up", () => {
  const queue = createQueue();
  const [a, b, c, d] = [add(queue), add(queue), add(queue), add(queue)];
  assert.deepEqual([a, b, c, d].map((task) => queue.positionOf(task)), [1, 2, 3, 4]);
  queue.startNext();
  queue.cancel(c);
  assert.deepEqual([a, b, c, d].map((task) => queue.positionOf(task)), [undefined, 1, undefined, 2]);
});

Deno.test("TaskQueue.cancel: takes a task out of the line, ends the executing one, leaves an ended one", () => {
  const queue = createQueue();
  const [executing, waiting, next] = [add(queue), add(queue), add(queue)];
  queue.startNext();
  assert.equal(queue.cancel(waiting), true);
  assert.deepEqual([waiting.status, waiting.error], ["error", "cancelled"]);
  assert.equal(queue.cancel(executing), true);
  assert.deepEqual([executing.status, executing.error], ["error", "cancelled"]);
  assert.equal(queue.startNext(), next);
  queue.finish(next, { result: "" });
  assert.equal(queue.cancel(next), false);
  assert.equal(next.status, "success");
});

Deno.test("TaskQueue: a full line takes no task, and no id is lost", () => {
  const queue = createQueue({ maxWaiting: 2 });
  add(queue);
  add(queue);
  assert.equal(queue.add("echo", "", OWNER), undefined);
  queue.startNext();
  assert.equal(add(queue).id, 3);
});

Deno.test("TaskQueue: the data of waiting tasks is bounded in bytes", () => {
  const queue = createQueue({ maxWaitingBytes: 20 });
  assert(queue.add("echo", "12345", OWNER));
  assert(queue.add("echo", "12345", OWNER));
  assert.equal(queue.add("echo", "1", OWNER), undefined);
  queue.startNext();
  assert(queue.add("echo", "1", OWNER));
  assert.equal(queue.add("echo", "12345", OWNER), undefined);
});

Deno.test("TaskQueue: the task that ended first is forgotten first, by count and by bytes", () => {
  for (const limits of [{ maxKept: 2 }, { maxKeptBytes: 2 * 2 * "result".length }]) {
    const queue = createQueue(limits);
    const tasks = [add(queue), add(queue), add(queue), add(queue)];
    queue.cancel(tasks[3]!); // its error takes bytes as well
    for (let i = 0; i < 3; i++) queue.finish(queue.startNext()!, { result: "result" });
    assert.deepEqual(tasks.map(({ id }) => queue.get(id)?.id), [undefined, 2, 3, undefined]);
    assert.equal(queue.counts.kept, 2);
  }
});

Deno.test("TaskQueue.addFailed: has an id and is in error at once, whatever waits", () => {
  const queue = createQueue({ maxWaiting: 1 });
  add(queue);
  const task = queue.addFailed("sing", "no such task", OWNER);
  assert.deepEqual([task.id, task.status, task.error], [2, "error", "no such task"]);
  assert.equal(queue.get(2), task);
});

Deno.test("TaskQueue.onEnd: tells each listener once, not those who left", () => {
  const queue = createQueue();
  const task = add(queue);
  const told: string[] = [];
  queue.onEnd(task, ({ status }) => told.push(`a ${status}`));
  queue.onEnd(task, () => told.push("b"))();
  queue.onEnd(task, ({ result }) => told.push(`c ${result}`));
  queue.finish(queue.startNext()!, { result: "r" });
  assert.deepEqual(told, ["a success", "c r"]);
});

Deno.test("TaskQueue.onEnd: the listener has the result even where it is forgotten at once", () => {
  const queue = createQueue({ maxKept: 0 });
  let result: string | null = null;
  queue.onEnd(add(queue), (task) => result = task.result);
  queue.finish(queue.startNext()!, { result: "r" });
  assert.equal(result, "r");
  assert.equal(queue.get(1), undefined);
});

Deno.test("TaskQueue.list: all in the order of ids, or the halves that matter", () => {
  const queue = createQueue();
  for (let i = 0; i < 8; i++) add(queue);
  for (let i = 0; i < 3; i++) queue.finish(queue.startNext()!, { result: "" });
  queue.startNext();
  assert.deepEqual(ids(queue.list(8)), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(ids(queue.list(4)), [2, 3, 4, 5]); // ended last: 2 and 3; executes and next: 4 and 5
  assert.deepEqual(ids(queue.list(7)), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(ids(createQueue().list(10)), []);
});

Deno.test("TaskQueue: whatever happens, one executes, the order is kept and no task is lost", () => {
  type Step = ["add" | "addFailed" | "start" | "finish" | "fail"] | ["cancel", number];
  const step = fc.oneof(
    fc.constantFrom<Step>(["add"], ["add"], ["addFailed"], ["start"], ["finish"], ["fail"]),
    fc.nat(30).map((which): Step => ["cancel", which]),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
    const queue = createQueue({ maxWaiting: 1000, maxKept: 1000 });
    const all: Task[] = [];
    let line: Task[] = []; // the model: those who wait, in order
    let executing: Task | undefined;
    for (const [what, which] of steps) {
      if (what === "add") line.push(add(queue)), all.push(line.at(-1)!);
      else if (what === "addFailed") all.push(queue.addFailed("x", "y", OWNER));
      else if (what === "start") {
        const started = queue.startNext();
        assert.equal(started, executing ? undefined : line[0]);
        if (started) executing = started, line.shift();
      } else if (what === "cancel") {
        const task = all[which!];
        if (!task) continue;
        assert.equal(queue.cancel(task), task === executing || line.includes(task));
        if (task === executing) executing = undefined;
        line = line.filter((other) => other !== task);
      } else if (executing) {
        queue.finish(executing, what === "finish" ? { result: "" } : { error: "" });
        executing = undefined;
      }
      assert.deepEqual(ids(queue.upcoming()), ids(line));
      line.forEach((task, i) => assert.equal(queue.positionOf(task), i + 1));
      assert.deepEqual(all.filter(({ status }) => status === "execute"), executing ? [executing] : []);
    }
    assert.deepEqual(ids(all), all.map((_, i) => i + 1));
    for (const task of all) assert.equal(queue.get(task.id), task);
    assert.deepEqual(queue.list(2000), all);
  }));
});

Deno.test("Line: positions are right over 100,000 members and half as many departures from the middle", () => {
  const line = new Line<{ slot: number }>();
  const members = Array.from({ length: 100_000 }, () => ({ slot: 0 }));
  for (const member of members) line.join(member);
  for (let i = 99_999; i > 0; i -= 2) {
    line.leave(members[i]!);
    assert.equal(line.positionOf(members[i - 1]!), i);
  }
  assert.equal(line.length, 50_000);
});

Deno.test("Line: does not grow while members come and go behind one who stays", () => {
  const line = new Line<{ slot: number }>();
  const patient = { slot: 0 };
  line.join(patient);
  for (let i = 0; i < 10_000; i++) {
    const passing = { slot: 0 };
    line.join(passing);
    assert.equal(line.positionOf(passing), 2);
    line.leave(passing);
    assert(passing.slot < 64);
  }
  assert.equal(line.first, patient);
  assert.throws(() => line.leave({ slot: 0 }), /without standing in it/);
});

Deno.test("Line.at: is the inverse of positionOf, whoever has left, and the line is read both ways", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { maxLength: 300, size: "max" }), fc.nat(300), (leavers, size) => {
      const line = new Line<{ slot: number }>();
      const members = Array.from({ length: size }, () => ({ slot: 0 }));
      for (const member of members) line.join(member);
      const left = new Set(leavers.filter((i) => i < size));
      for (const i of left) line.leave(members[i]!);
      const staying = members.filter((_, i) => !left.has(i));
      assert.deepEqual([...line], staying);
      assert.deepEqual([...line.backwards()], staying.toReversed());
      staying.forEach((member, i) => {
        assert.equal(line.positionOf(member), i + 1);
        assert.equal(line.at(i + 1), member);
      });
      assert.equal(line.at(0), undefined);
      assert.equal(line.at(staying.length + 1), undefined);
    }),
  );
});
