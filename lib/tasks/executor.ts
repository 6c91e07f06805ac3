/** Executes the tasks of a queue, one at a time: their durations pass here, their work is done in a worker thread. */

import { setImmediate } from "node:timers";
import type { Clock, Timer } from "../service/clock.ts";
import { getLogger } from "../service/log.ts";
import { CATALOG } from "./catalog.ts";
import { hasEnded, type Outcome, type Task, type TaskQueue } from "./queue.ts";
import { Workers, type WorkerThread } from "./workers.ts";

const log = getLogger(["solo", "tasks", "executor"]);

export interface ExecutorOptions {
  /** Multiplies the simulated durations of the catalogue. @default 1 */
  delayFactor?: number;
  /** How long the work of a task may take. */
  taskTimeoutMs: number;
  /** The worker's module; another one is for tests. */
  workerUrl?: URL;
}

/** Tasks without duration and work that end in one turn of the event loop: a hundred thousand may be in line. */
const MAX_A_TURN = 64;

/**
 * How long the worker may go on with a task that was cancelled before it is replaced. Hardly any task of the catalogue
 * works for longer, so that cancelling costs a worker only where one hangs.
 */
const GRACE_MS = 1_000;

/**
 * The one who takes tasks out of the queue.
 *
 * The task that executes first waits out its simulated duration, which costs no thread and is ended at once by `cancel`;
 * then its work is due, at the end of the turn, and is done by the worker. Where there is no work the worker is left
 * alone: to it and back costs an echo more than all else together.
 *
 * A worker that dies (an error that nothing caught) or that does not answer in time ends its task in `error`, and the
 * next task gets another worker. A worker that ends itself (`self.close()`) raises no event in Deno 2.9.6: the time limit
 * covers that too. A task that is cancelled while it works ends at once; the next one starts when the worker is done with
 * it, or has another worker after a second. So never do two work, but for a thread that no one can stop.
 */
export class Executor implements Disposable {
  readonly #queue: TaskQueue;
  readonly #clock: Clock;
  readonly #delayFactor: number;
  readonly #taskTimeoutMs: number;
  readonly #workers: Workers;
  #worker: WorkerThread;
  /** The task that executes and is not in the worker's hands. */
  #pending: Task | undefined;
  /** The rest of the pending task's duration; undefined when its work is due. */
  #pause: Timer | undefined;
  /** What the worker has in hand; a cancelled task too, until it is done with it. */
  #working: Task | undefined;
  #timeLimit: Timer | undefined;
  #grace: Timer | undefined;
  #worksSoon = false;
  #closed = false;

  /** @param clock What durations and limits pass by. */
  constructor(queue: TaskQueue, clock: Clock, options: ExecutorOptions) {
    this.#queue = queue;
    this.#clock = clock;
    this.#delayFactor = options.delayFactor ?? 1;
    this.#taskTimeoutMs = options.taskTimeoutMs;
    this.#workers = new Workers(options.workerUrl ?? new URL("./executor_worker.ts", import.meta.url));
    this.#worker = this.#takeWorker();
  }

  /** Starts the next task if none executes; to be called when a task was added. */
  advance(): void {
    if (this.#pending !== undefined || this.#working !== undefined || this.#closed) return;
    const task = this.#pending = this.#queue.startNext();
    if (task === undefined) return;
    const delayMs = (CATALOG.get(task.name)?.durationMs ?? 0) * this.#delayFactor;
    if (delayMs === 0) return this.#workSoon();
    this.#pause = this.#clock.after(delayMs, () => {
      this.#pause = undefined;
      this.#work();
    });
  }

  /** Cancels a task of the queue, the executing one too; false when it has ended already. */
  cancel(task: Task): boolean {
    const cancelled = this.#queue.cancel(task);
    if (task === this.#pending) {
      this.#pause?.[Symbol.dispose]();
      this.#pause = this.#pending = undefined;
      this.advance();
    } else if (cancelled && task === this.#working) {
      this.#grace = this.#clock.after(GRACE_MS, () => this.#onGraceOver());
    }
    return cancelled;
  }

  /** Stops the worker; what waits in the queue stays there. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#pause?.[Symbol.dispose]();
    this.#stopTimers();
    this.#worker.terminate();
    this.#workers[Symbol.dispose]();
  }

  /** At the end of this turn, when the replies to those who have added tasks are on their way. */
  #workSoon(): void {
    if (this.#worksSoon) return;
    this.#worksSoon = true;
    setImmediate(() => {
      for (let i = 0; i < MAX_A_TURN && this.#isDue(); i++) this.#work();
      this.#worksSoon = false;
      if (this.#isDue()) this.#workSoon();
    });
  }

  /** Whether there is a task whose work may begin. */
  #isDue(): boolean {
    return this.#pending !== undefined && this.#pause === undefined && !this.#closed &&
      (this.#worker.isReady || this.#worker.death !== undefined || !hasWork(this.#pending));
  }

  /** Has the work done that is due. Where the worker is not ready yet, it is called again when it is. */
  #work(): void {
    if (!this.#isDue()) return;
    const task = this.#pending!;
    this.#pending = undefined;
    if (!hasWork(task)) return this.#finish(task, { result: task.data });
    this.#working = task;
    if (this.#worker.death !== undefined) return this.#onDeath(this.#worker.death); // before it had anything to do
    this.#timeLimit = this.#clock.after(this.#taskTimeoutMs, () => this.#onTimeLimit());
    this.#worker.assign({ name: task.name, data: task.data });
  }

  #finish(task: Task, outcome: Outcome): void {
    if (!hasEnded(task)) this.#queue.finish(task, outcome); // else it was cancelled
    this.advance();
  }

  #onOutcome(outcome: Outcome): void {
    const task = this.#working!;
    this.#working = undefined;
    this.#stopTimers();
    this.#finish(task, outcome);
  }

  #onTimeLimit(): void {
    // terminate() does not stop a busy loop in Deno 2.9.6
    log.error(
      "task {id} hit the limit of {seconds} s (--task-timeout); its old thread may still be running",
      {
        id: this.#working?.id,
        seconds: this.#taskTimeoutMs / 1000,
      },
    );
    this.#fail(`took longer than ${this.#taskTimeoutMs / 1000} s`);
  }

  #onDeath(message: string): void {
    if (this.#working === undefined) return this.#work(); // what is due has waited for it, and ends now
    const [reason] = message.split("\n", 1);
    log.error("the worker thread died: {message}", { message: reason });
    this.#fail(`the worker died: ${reason}`);
  }

  #onGraceOver(): void {
    log.warning("a cancelled task still works: its worker is replaced, and its old thread may go on");
    this.#fail("cancelled"); // which it is already
  }

  /** The worker is of no use any more. */
  #fail(error: string): void {
    this.#worker.terminate();
    this.#worker = this.#takeWorker();
    this.#onOutcome({ error });
  }

  #takeWorker(): WorkerThread {
    const worker = this.#workers.take();
    worker.onReady = () => this.#work();
    worker.onOutcome = (outcome) => this.#onOutcome(outcome);
    worker.onDeath = (message) => this.#onDeath(message);
    return worker;
  }

  #stopTimers(): void {
    this.#timeLimit?.[Symbol.dispose]();
    this.#grace?.[Symbol.dispose]();
    this.#timeLimit = this.#grace = undefined;
  }
}

function hasWork({ name }: Task): boolean {
  return CATALOG.get(name)?.works ?? true; // the worker says of an unknown one that it is unknown
}
