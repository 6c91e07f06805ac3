import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { monotonicClock } from "../../lib/service/clock.ts";
import { Executor, type ExecutorOptions } from "../../lib/tasks/executor.ts";
import { type Task, TaskQueue } from "../../lib/tasks/queue.ts";
import { FakeTimers } from "../support/fake_timers.ts";
import { until } from "../support/wait.ts";

const TIME_LIMIT_MS = 10_000;
const GRACE_MS = 1_000;

const FAULTY = new URL("../support/faulty_worker.ts", import.meta.url);

function start(options: Partial<ExecutorOptions> = {}) {
  const limits = { maxWaiting: 1000, maxWaitingBytes: 2 ** 26, maxKept: 1000, maxKeptBytes: 2 ** 26 };
  const queue = new TaskQueue(limits, monotonicClock);
  const executor = new Executor(queue, { delayFactor: 0.01, taskTimeoutMs: TIME_LIMIT_MS, ...options });
  return {
    queue,
    executor,
    add(name: string, data: string): Task {
      const task = queue.add(name, data, 1)!;
      executor.advance();
      return task;
    },
    [Symbol.dispose]: () => executor[Symbol.dispose](),
  };
}

/** Resolves with how each task ended, in the order in which they ended. */
async function outcomes(queue: TaskQueue, tasks: Task[]): Promise<string[]> {
  const ended: string[] = [];
  await Promise.all(tasks.map((task) =>
    new Promise<void>((resolve) => {
      const tell = () => (ended.push(`${task.id} ${task.result ?? task.error}`), resolve());
      if (task.status === "success" || task.status === "error") tell();
      else queue.onEnd(task, tell);
    })
  ));
  return ended;
}

Deno.test("Executor: executes tasks in their order, one at a time", async () => {
  using run = start();
  const tasks = [
    run.add("revers", "кот"),
    run.add("echo", "a"),
    run.add("echo", "b"),
    run.add("permutation", "кот"),
    run.add("echo", "c"),
  ];
  let most = 0;
  for (const task of tasks) {
    run.queue.onEnd(
      task,
      () => most = Math.max(most, tasks.filter(({ status }) => status === "execute").length),
    );
  }
  assert.deepEqual(tasks.map(({ status }) => status), [
    "execute",
    "waiting",
    "waiting",
    "waiting",
    "waiting",
  ]);
  assert.deepEqual(await outcomes(run.queue, tasks), ["1 ток", "2 a", "3 b", "4 окт", "5 c"]);
  assert(most <= 1);
});

Deno.test("Executor: what a task throws is the end of that task only", async () => {
  using run = start();
  const tasks = [run.add("sing", ""), run.add("echo", "next")];
  assert.deepEqual(await outcomes(run.queue, tasks), ["1 no task is named sing", "2 next"]);
});

Deno.test("Executor: a simulated duration passes before the task ends", async () => {
  using run = start({ delayFactor: 0.1 });
  const start_ms = performance.now();
  await outcomes(run.queue, [run.add("revers", "")]);
  assert(performance.now() - start_ms >= 199);
});

Deno.test("Executor: a worker that dies ends the task that killed it and nothing else", async () => {
  using run = start({ delayFactor: 0, workerUrl: FAULTY });
  const tasks = ["a", "b", "die", "c", "die", "d"].map((data) => run.add("revers", data));
  assert.deepEqual(await outcomes(run.queue, tasks), [
    "1 a",
    "2 b",
    "3 the worker died: Uncaught Error: out of order",
    "4 c",
    "5 the worker died: Uncaught Error: out of order",
    "6 d",
  ]);
});

Deno.test("Executor: a task that hangs is ended by the time limit and the next one gets a new worker", async () => {
  using run = start({ delayFactor: 0, workerUrl: FAULTY, taskTimeoutMs: 1_000 });
  const tasks = ["a", "hang", "b", "close", "c"].map((data) => run.add("revers", data));
  assert.deepEqual(await outcomes(run.queue, tasks), [
    "1 a",
    "2 took longer than 1 s",
    "3 b",
    "4 took longer than 1 s",
    "5 c",
  ]);
});

Deno.test("Executor: a worker that cannot start fails its task", async () => {
  using run = start({ delayFactor: 0, workerUrl: new URL("./no_such_worker.ts", import.meta.url) });
  const [outcome] = await outcomes(run.queue, [run.add("revers", "")]);
  assert.match(outcome!, /^1 the worker died: ./);
});

Deno.test("Executor.cancel: a task that waits, the one that works, one that has ended", async () => {
  using run = start({ delayFactor: 0, workerUrl: FAULTY });
  const tasks = ["a", "hang", "b", "c", "d"].map((data) => run.add("revers", data));
  const ended = outcomes(run.queue, tasks);
  await outcomes(run.queue, [tasks[0]!]);
  assert.equal(run.executor.cancel(tasks[3]!), true);
  assert.equal(run.executor.cancel(tasks[1]!), true);
  assert.deepEqual(await ended, ["1 a", "4 cancelled", "2 cancelled", "3 b", "5 d"]);
  assert.equal(run.executor.cancel(tasks[0]!), false);
});

Deno.test("Executor: the duration passes in a timer, and the time limit begins after it", async () => {
  const timers = new FakeTimers();
  using run = start({ delayFactor: 1, startTimer: timers.start });
  const first = run.add("revers", "");
  timers.fire(2_000);
  await outcomes(run.queue, [first]); // so the worker is ready
  const [task, next] = [run.add("revers", "ab"), run.add("too_long_echo", "c")];
  assert.deepEqual(timers.delaysMs, [2_000]);
  assert.deepEqual([task!.status, next!.status], ["execute", "waiting"]);
  timers.fire(2_000);
  assert.deepEqual(timers.delaysMs, [TIME_LIMIT_MS], "it is in the worker's hands");
  assert.deepEqual(await outcomes(run.queue, [task!]), ["2 ba"]);
  assert.deepEqual(timers.delaysMs, [20_000]);
  assert.equal(next!.status, "execute");
});

Deno.test("Executor.cancel: of a task that waits out its duration is a cleared timer, and the next one begins", async () => {
  const timers = new FakeTimers();
  using run = start({ delayFactor: 1, startTimer: timers.start, workerUrl: FAULTY });
  const who = async () => {
    const task = run.add("revers", "who");
    timers.fire(2_000);
    await outcomes(run.queue, [task]);
    return task.result;
  };
  const before = await who();
  for (let i = 0; i < 1000; i++) {
    const task = run.add("too_long_echo", "");
    const next = run.add("permutation", "");
    assert.deepEqual(timers.delaysMs, [20_000]);
    assert.equal(run.executor.cancel(task), true);
    assert.deepEqual([task.status, task.error, next.status], ["error", "cancelled", "execute"]);
    assert.deepEqual(timers.delaysMs, [5_000]);
    assert.equal(run.executor.cancel(next), true);
    assert.deepEqual(timers.delaysMs, []);
  }
  assert.equal(await who(), before, "it is the same worker");
});

Deno.test("Executor.cancel: of a task that works ends it at once; the next one begins when the worker is done", async () => {
  const timers = new FakeTimers();
  using run = start({ delayFactor: 0, startTimer: timers.start, workerUrl: FAULTY });
  const [before] = await outcomes(run.queue, [run.add("revers", "who")]);
  const [busy, next] = [run.add("revers", "busy"), run.add("revers", "who")];
  await setImmediate();
  assert.deepEqual(timers.delaysMs, [TIME_LIMIT_MS], "it is in the worker's hands");
  assert.equal(run.executor.cancel(busy), true);
  assert.deepEqual([busy.status, next.status], ["error", "waiting"], "never do two work");
  assert.deepEqual(timers.delaysMs.toSorted(), [GRACE_MS, TIME_LIMIT_MS]);
  const [after] = await outcomes(run.queue, [next]);
  assert.equal(after!.split(" ")[1], before!.split(" ")[1], "it is the same worker");
  assert.deepEqual(timers.delaysMs, []);
});

Deno.test("Executor.cancel: where a task hangs, the next one gets another worker after a while", async () => {
  const timers = new FakeTimers();
  using run = start({ delayFactor: 0, startTimer: timers.start, workerUrl: FAULTY });
  const [before] = await outcomes(run.queue, [run.add("revers", "who")]);
  for (let i = 0; i < 3; i++) { // the spare, and those that the nursery starts meanwhile
    const [hanging, next] = [run.add("revers", "hang"), run.add("revers", "who")];
    await until(() => timers.delaysMs.includes(TIME_LIMIT_MS), "it is in the worker's hands");
    run.executor.cancel(hanging);
    assert.equal(next.status, "waiting");
    timers.fire(GRACE_MS);
    const [after] = await outcomes(run.queue, [next]);
    assert.notEqual(after!.split(" ")[1], before!.split(" ")[1], "it is another worker");
  }
});

Deno.test("Executor: tasks without duration and work need no worker, and never many end in one turn", async () => {
  using run = start({ workerUrl: new URL("./no_such_worker.ts", import.meta.url), delayFactor: 0 });
  const tasks = Array.from({ length: 1000 }, (_, i) => run.add(i % 2 ? "echo" : "too_long_echo", `${i}`));
  assert.equal(tasks[0]!.status, "execute");
  let ended = 0;
  for (const task of tasks) run.queue.onEnd(task, () => ended++);
  for (let before = 0; ended < tasks.length; before = ended) {
    await setImmediate();
    assert.ok(ended - before <= 128, `${ended - before} ended in one turn`); // this one and the next
  }
  assert.deepEqual(tasks.map(({ result }) => result), tasks.map((_, i) => `${i}`));
});
