import assert from "node:assert/strict";
import { systemClock } from "../../lib/service/clock.ts";
import { Executor, type ExecutorOptions } from "../../lib/tasks/executor.ts";
import { type Task, TaskQueue } from "../../lib/tasks/queue.ts";

const FAULTY = new URL("../support/faulty_worker.ts", import.meta.url);

function start(options: Partial<ExecutorOptions> = {}) {
  const limits = { maxWaiting: 1000, maxWaitingBytes: 2 ** 26, maxKept: 1000, maxKeptBytes: 2 ** 26 };
  const queue = new TaskQueue(limits, systemClock);
  const executor = new Executor(queue, { delayFactor: 0.01, taskTimeoutMs: 10_000, ...options });
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
  using run = start({ workerUrl: FAULTY });
  const tasks = ["a", "b", "die", "c", "die", "d"].map((data) => run.add("echo", data));
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
  using run = start({ workerUrl: FAULTY, taskTimeoutMs: 1_000 });
  const tasks = ["a", "hang", "b", "close", "c"].map((data) => run.add("echo", data));
  assert.deepEqual(await outcomes(run.queue, tasks), [
    "1 a",
    "2 took longer than 1 s",
    "3 b",
    "4 took longer than 1 s",
    "5 c",
  ]);
});

Deno.test("Executor: a worker that cannot start fails its task", async () => {
  using run = start({ workerUrl: new URL("./no_such_worker.ts", import.meta.url) });
  const [outcome] = await outcomes(run.queue, [run.add("echo", "")]);
  assert.match(outcome!, /^1 the worker died: ./);
});

Deno.test("Executor.cancel: the executing task, one in the worker's hands, one that waits", async () => {
  using run = start({ delayFactor: 1, workerUrl: FAULTY }); // the hanging task is in the worker's hands with those behind
  const tasks = ["a", "hang", "b", "c", "d"].map((data) => run.add("echo", data));
  const ended = outcomes(run.queue, tasks);
  await outcomes(run.queue, [tasks[0]!]);
  assert.equal(run.executor.cancel(tasks[3]!), true);
  assert.equal(run.executor.cancel(tasks[1]!), true);
  assert.deepEqual(await ended, ["1 a", "4 cancelled", "2 cancelled", "3 b", "5 d"]);
  assert.equal(run.executor.cancel(tasks[0]!), false);
});
