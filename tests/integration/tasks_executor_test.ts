import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { type Clock, systemClock } from "../../lib/service/clock.ts";
import { Executor, type ExecutorOptions } from "../../lib/tasks/executor.ts";
import { type Task, TaskQueue } from "../../lib/tasks/queue.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { until } from "../support/wait.ts";

const TIME_LIMIT_MS = 10_000;
const GRACE_MS = 1_000;

const FAULTY = new URL("../support/faulty_worker.ts", import.meta.url);

function start({ clock = systemClock, ...options }: Partial<ExecutorOptions> & { clock?: Clock } = {}) {
  const limits = { maxWaiting: 1000, maxWaitingBytes: 2 ** 26, maxKept: 1000, maxKeptBytes: 2 ** 26 };
  const queue = new TaskQueue(limits, clock);
  const executor = new Executor(queue, clock, {
    delayFactor: 0.01,
    taskTimeoutMs: TIME_LIMIT_MS,
    ...options,
  });
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

/** Ends the work of a worker that is busy. */
class FinishSignal implements Disposable {
  readonly #channel = new BroadcastChannel("finish");

  tell(): void {
    this.#channel.postMessage(null);
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

Deno.test("Executor: its workers have no rights, the first and those that follow", async () => {
  using run = start({ workerUrl: FAULTY });
  const tasks = ["rights", "die", "rights"].map((data) => run.add("revers", data));
  assert.deepEqual(await outcomes(run.queue, tasks), [
    "1 ",
    "2 the worker died: Uncaught Error: out of order",
    "3 ",
  ]);
});

Deno.test("Executor: executes tasks in their order, one at a time", async () => {
  using run = start();
  const tasks = [
    run.add("revers", "кот"),
    run.add("echo", "a"),
    run.add("echo", "b"),
    run.add("permutation", "кот"),
    run.add("echo", "c"),
  ];
  const seen: string[][] = []; // at the end of each
  for (const task of tasks) run.queue.onEnd(task, () => seen.push(tasks.map(({ status }) => status)));
  assert.deepEqual(tasks.map(({ status }) => status), [
    "execute",
    "waiting",
    "waiting",
    "waiting",
    "waiting",
  ]);
  assert.deepEqual(await outcomes(run.queue, tasks), ["1 ток", "2 a", "3 b", "4 окт", "5 c"]);
  const expected = tasks.map((_, last) => tasks.map((_, i) => i <= last ? "success" : "waiting"));
  assert.deepEqual(seen, expected, "nothing else executes beside");
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
  const clock = new FakeClock();
  using run = start({ clock, delayFactor: 0, workerUrl: FAULTY });
  const tasks = ["a", "hang", "b", "close", "c"].map((data) => run.add("revers", data));
  const ended = outcomes(run.queue, tasks);
  for (const stuck of [tasks[1]!, tasks[3]!]) {
    await until(() => stuck.status === "execute", "its turn has come");
    await until(() => { // its time begins when the worker has it
      clock.advance(TIME_LIMIT_MS);
      return stuck.status === "error";
    }, "the limit ends it");
  }
  assert.deepEqual(await ended, [
    "1 a",
    "2 took longer than 10 s",
    "3 b",
    "4 took longer than 10 s",
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

Deno.test("Executor: the duration passes by the clock, and the time limit begins after it", async () => {
  const clock = new FakeClock();
  using run = start({ clock, delayFactor: 1, workerUrl: FAULTY });
  const first = run.add("revers", "a");
  clock.advance(2_000);
  assert.deepEqual(await outcomes(run.queue, [first]), ["1 a"]); // so the worker is ready
  const [hanging, next] = [run.add("revers", "hang"), run.add("too_long_echo", "c")];
  clock.advance(2_000 + TIME_LIMIT_MS - 1);
  assert.deepEqual([hanging.status, next.status], ["execute", "waiting"]);
  clock.advance(1);
  assert.deepEqual([hanging.error, next.status], ["took longer than 10 s", "execute"]);
  clock.advance(20_000 - 1);
  assert.equal(next.status, "execute");
  clock.advance(1);
  assert.deepEqual([next.status, next.result], ["success", "c"]);
});

Deno.test("Executor.cancel: a task that waits out its duration ends at once, and the next one begins", async () => {
  const clock = new FakeClock();
  using run = start({ clock, delayFactor: 1, workerUrl: FAULTY });
  const who = async () => {
    const task = run.add("revers", "who");
    clock.advance(2_000);
    await outcomes(run.queue, [task]);
    return task.result;
  };
  const before = await who();
  for (let i = 0; i < 1000; i++) {
    const [task, next] = [run.add("too_long_echo", ""), run.add("permutation", "")];
    assert.equal(run.executor.cancel(task), true);
    assert.deepEqual([task.status, task.error, next.status], ["error", "cancelled", "execute"]);
    assert.equal(run.executor.cancel(next), true);
  }
  assert.equal(await who(), before, "no worker was replaced");
});

Deno.test("Executor.cancel: a task that works ends at once; the next one begins when the worker is done", async () => {
  using run = start({ clock: new FakeClock(), delayFactor: 0, workerUrl: FAULTY });
  const first = run.add("revers", "who");
  await outcomes(run.queue, [first]);
  const [busy, next] = [run.add("revers", "busy"), run.add("revers", "who")];
  await setImmediate(); // it is in the worker's hands
  assert.equal(run.executor.cancel(busy), true);
  assert.deepEqual([busy.status, next.status], ["error", "waiting"], "never do two work");
  using finish = new FinishSignal();
  finish.tell();
  await outcomes(run.queue, [next]);
  assert.equal(next.result, first.result, "no worker was replaced");
});

Deno.test("Executor.cancel: where a task hangs, the next one gets another worker after a second", async () => {
  const clock = new FakeClock();
  using run = start({ clock, delayFactor: 0, workerUrl: FAULTY });
  const first = run.add("revers", "who");
  await outcomes(run.queue, [first]);
  let before = first.result;
  for (let i = 0; i < 3; i++) { // the spare, and those that the nursery starts meanwhile
    const [hanging, next] = [run.add("revers", "hang"), run.add("revers", "who")];
    await setImmediate(); // it is in the worker's hands
    run.executor.cancel(hanging);
    clock.advance(GRACE_MS - 1);
    assert.equal(next.status, "waiting");
    clock.advance(1);
    assert.equal(next.status, "execute");
    await outcomes(run.queue, [next]);
    assert.notEqual(next.result, before, "it is another worker");
    before = next.result;
  }
});

for (const cancelled of [false, true]) {
  const what = cancelled ? "a cancelled task still works" : "a task works";
  Deno.test(`Executor: disposed of while ${what} it leaves no timer behind, which would hold up the end`, async () => {
    using run = start({ delayFactor: 0, workerUrl: FAULTY });
    await outcomes(run.queue, [run.add("revers", "a")]); // so the worker is ready
    const hanging = run.add("revers", "hang");
    await setImmediate(); // it is in the worker's hands
    if (cancelled) run.executor.cancel(hanging);
  });
}

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
