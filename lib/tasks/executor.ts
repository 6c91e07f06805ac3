/** Executes the tasks of a queue, one at a time: their durations pass here, their work is done in a worker thread. */

import { setImmediate } from "node:timers";
import { getLogger } from "../service/log.ts";
import { CATALOG } from "./catalog.ts";
import { hasEnded, type Outcome, type Task, type TaskQueue } from "./queue.ts";
import { Workers, type WorkerThread } from "./workers.ts";

const log = getLogger(["solo", "tasks", "executor"]);

/** Calls back after a while; the result takes that back. */
export type StartTimer = (callback: () => void, delayMs: number) => () => void;

export interface ExecutorOptions {
  /** Multiplies the simulated durations of the catalogue. @default 1 */
  delayFactor?: number;
  /** How long the work of a task may take. */
  taskTimeoutMs: number;
  /** The worker's module; another one is for tests. */
  workerUrl?: URL;
  /** What durations pass by. @default setTimeout */
  startTimer?: StartTimer;
}

/** Tasks handed to the worker at once. Measured over 50 clients: one at a time 24,000 echo tasks/s, 32 at a time 50,000. */
const MAX_HANDED = 32;

/** Characters of data behind which no further task is handed over: copying them holds up the replies. */
const MAX_HANDED_LENGTH = 64 * 1024;

/**
 * How long the worker may go on with a task that was cancelled before it is replaced. Hardly any task of the catalogue
 * works for longer, so that cancelling costs a worker only where one hangs.
 */
const GRACE_MS = 1_000;

/**
 * The one who takes tasks out of the queue.
 *
 * The task that executes first waits out its simulated duration, which costs no thread and is ended at once by `cancel`;
 * then its work is due and it is handed to the worker. Since a message to the worker and back takes longer than an echo,
 * tasks without a duration are handed over a few at a time, at the end of the turn in which they came; only the first of
 * them is `execute`, the others wait in the worker's inbox as they would in the queue.
 *
 * A worker that dies (an error that nothing caught) or that does not answer in time ends its task in `error`, and the
 * next task gets another worker. Where it had several in hand, nobody knows which of them did it, so they are executed
 * (again) one by one, each with the full time limit. A worker that ends itself (`self.close()`) raises no event in Deno
 * 2.9.6: the time limit covers that too. A task that is cancelled while it works ends at once; the next one starts when
 * the worker is done with it, or has another worker after a second. So never do two work.
 */
export class Executor implements Disposable {
  readonly #queue: TaskQueue;
  readonly #delayFactor: number;
  readonly #taskTimeoutMs: number;
  readonly #startTimer: StartTimer;
  readonly #workers: Workers;
  #worker: WorkerThread;
  /** The task that executes and is not in the worker's hands. */
  #pending: Task | undefined;
  /** Ends the wait for the duration of the pending task; undefined when its work is due. */
  #endPause: (() => void) | undefined;
  /** What the worker has in hand, in order; cancelled tasks too, until it is done with them. */
  #handed: Task[] = [];
  /** How many of the next tasks are handed over singly, since one of them made a worker fail. */
  #suspects = 0;
  #stopTimeLimit: (() => void) | undefined;
  #stopGrace: (() => void) | undefined;
  #handsOverSoon = false;
  #closed = false;

  constructor(queue: TaskQueue, options: ExecutorOptions) {
    this.#queue = queue;
    this.#delayFactor = options.delayFactor ?? 1;
    this.#taskTimeoutMs = options.taskTimeoutMs;
    this.#startTimer = options.startTimer ?? startTimeout;
    this.#workers = new Workers(options.workerUrl ?? new URL("./executor_worker.ts", import.meta.url));
    this.#worker = this.#takeWorker();
  }

  /** Starts the next task if none executes; to be called when a task was added. */
  advance(): void {
    if (this.#pending !== undefined || this.#handed.length > 0 || this.#closed) return;
    const task = this.#pending = this.#queue.startNext();
    if (task === undefined) return;
    const delayMs = this.#delayMs(task);
    if (delayMs === 0) return this.#handOverSoon();
    this.#endPause = this.#startTimer(() => {
      this.#endPause = undefined;
      this.#handOver();
    }, delayMs);
  }

  /** Cancels a task of the queue, the executing one too; false when it has ended already. */
  cancel(task: Task): boolean {
    const works = task.status === "execute" && task === this.#handed[0];
    const cancelled = this.#queue.cancel(task);
    if (task === this.#pending) {
      this.#endPause?.();
      this.#endPause = this.#pending = undefined;
      this.advance();
    } else if (works) {
      this.#stopGrace = this.#startTimer(() => this.#onGraceOver(), GRACE_MS);
    } // another that the worker has in hand is passed over when its outcome comes
    return cancelled;
  }

  /** Stops the worker; what waits in the queue stays there. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#endPause?.();
    this.#stopTimers();
    this.#worker.terminate();
    this.#workers[Symbol.dispose]();
  }

  #delayMs({ name }: Task): number {
    return (CATALOG.get(name)?.durationMs ?? 0) * this.#delayFactor;
  }

  /** At the end of this turn, so that all that came in it goes in one message. */
  #handOverSoon(): void {
    if (this.#handsOverSoon) return;
    this.#handsOverSoon = true;
    setImmediate(() => {
      this.#handsOverSoon = false;
      this.#handOver();
    });
  }

  /** Hands the task whose work is due to the worker, and those behind it that cost no more than the message. */
  #handOver(): void {
    const { death, isReady } = this.#worker;
    if (this.#pending === undefined || this.#endPause !== undefined || this.#closed) return;
    if (death === undefined && !isReady) return; // it is called again when the worker is ready
    this.#handed = [this.#pending];
    this.#pending = undefined;
    if (death !== undefined) return this.#onDeath(death); // the worker was dead before it had anything to do
    if (this.#suspects > 0) this.#suspects--;
    else this.#addInstantTasks();
    this.#stopTimeLimit = this.#startTimer(() => this.#onTimeLimit(), this.#taskTimeoutMs);
    this.#worker.assign(this.#handed.map(({ name, data }) => ({ name, data })));
  }

  #addInstantTasks(): void {
    let length = this.#handed[0]!.data.length;
    for (const task of this.#queue.upcoming()) {
      length += task.data.length;
      if (this.#handed.length === MAX_HANDED || length > MAX_HANDED_LENGTH || this.#delayMs(task) > 0) return;
      this.#handed.push(task);
    }
  }

  #onOutcome(outcome: Outcome): void {
    const task = this.#handed.shift();
    if (task?.status === "execute") this.#queue.finish(task, outcome);
    else this.#endGrace(); // it was cancelled, and now the worker is done with it
    if (this.#handed.length === 0) {
      this.#stopTimers();
      this.advance();
    } else if (this.#handed[0]!.status === "waiting") {
      this.#queue.startNext(); // the next in hand is the next in line
    }
  }

  #onTimeLimit(): void {
    // terminate() does not stop a busy loop in Deno 2.9.6
    log.error(
      "task {id} hit the limit of {seconds} s (--task-timeout); its old thread may still be running",
      {
        id: this.#handed[0]?.id,
        seconds: this.#taskTimeoutMs / 1000,
      },
    );
    this.#fail(`took longer than ${this.#taskTimeoutMs / 1000} s`);
  }

  #onDeath(message: string): void {
    const [reason] = message.split("\n", 1);
    log.error("the worker thread died: {message}", { message: reason });
    this.#fail(`the worker died: ${reason}`);
  }

  /** The worker is of no use any more. */
  #fail(error: string): void {
    const handed = this.#handed;
    const executing = handed[0]!;
    this.#replaceWorker();
    if (handed.length > 1) this.#suspects = handed.filter((task) => !hasEnded(task)).length;
    if (hasEnded(executing)) { // it was cancelled
      this.advance();
    } else if (handed.length > 1) {
      this.#pending = executing;
      this.#handOver();
    } else {
      this.#queue.finish(executing, { error });
      this.advance();
    }
  }

  #onGraceOver(): void {
    log.warning("a cancelled task still works: its worker is replaced, and its old thread may go on");
    this.#replaceWorker();
    this.advance();
  }

  /** Takes another worker; what this one had in hand and has not ended is nobody's then. */
  #replaceWorker(): void {
    this.#stopTimers();
    this.#handed = [];
    this.#worker.terminate();
    this.#worker = this.#takeWorker();
  }

  #takeWorker(): WorkerThread {
    const worker = this.#workers.take();
    worker.onReady = () => this.#handOver();
    worker.onOutcomes = (outcomes) => {
      for (const outcome of outcomes) this.#onOutcome(outcome);
    };
    worker.onDeath = (message) => this.#handed.length > 0 ? this.#onDeath(message) : this.#handOver();
    return worker;
  }

  #endGrace(): void {
    this.#stopGrace?.();
    this.#stopGrace = undefined;
  }

  #stopTimers(): void {
    this.#endGrace();
    this.#stopTimeLimit?.();
    this.#stopTimeLimit = undefined;
  }
}

function startTimeout(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
}
