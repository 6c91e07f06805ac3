/** Executes the tasks of a queue in a worker thread, one at a time, so that a slow task never delays a reply. */

import { getLogger } from "../service/log.ts";
import { CATALOG } from "./catalog.ts";
import type { Outcome, Task, TaskQueue } from "./queue.ts";

const log = getLogger(["solo", "tasks", "executor"]);

/** One task for the worker. It is sent a list of them, and answers with lists of their outcomes, in the same order. */
export interface Assignment {
  name: string;
  data: string;
  /** How long to pretend to work before the work. */
  delayMs: number;
}

export interface ExecutorOptions {
  /** Multiplies the simulated durations of the catalogue. @default 1 */
  delayFactor?: number;
  /** How long a task may execute. */
  taskTimeoutMs: number;
  /** The worker's module; another one is for tests. */
  workerUrl?: URL;
}

/** Tasks handed to the worker at once. Measured over 50 clients: one at a time 24,000 echo tasks/s, 32 at a time 50,000. */
const MAX_HANDED = 32;

/** Characters of data behind which no further task is handed over: copying them holds up the replies. */
const MAX_HANDED_LENGTH = 64 * 1024;

/**
 * The one who takes tasks out of the queue.
 *
 * The worker executes one task at a time. Since a message to it and back takes longer than an echo, tasks without a
 * simulated duration are handed over a few at a time; only the first of them is `execute`, the others wait in its inbox
 * as they would in the queue.
 *
 * A worker that dies (an error that nothing caught) or that does not answer in time ends its task in `error`, and the
 * next task gets a new worker. Where it had several in hand, nobody knows which of them did it, so they are executed
 * (again) one by one, each with the full time limit. A worker that ends itself (`self.close()`) raises no event in Deno 2.9.6: the time limit covers
 * that too.
 */
export class Executor implements Disposable {
  readonly #queue: TaskQueue;
  readonly #delayFactor: number;
  readonly #taskTimeoutMs: number;
  readonly #workerUrl: URL;
  #worker: Worker | undefined;
  /** What the worker has in hand, in order; the first is the task that executes. */
  #handed: Task[] = [];
  /** How many of the next tasks are handed over singly, since one of them made a worker fail. */
  #suspects = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(queue: TaskQueue, options: ExecutorOptions) {
    this.#queue = queue;
    this.#delayFactor = options.delayFactor ?? 1;
    this.#taskTimeoutMs = options.taskTimeoutMs;
    // In an executable this module is part of a bundle, and its worker stands beside the bundle under the same name.
    this.#workerUrl = options.workerUrl ?? new URL("./executor_worker.ts", import.meta.url);
    this.#worker = this.#startWorker(); // ready before the first task comes
  }

  /** Starts the next task if none executes; to be called when a task was added. */
  advance(): void {
    if (this.#handed.length > 0 || this.#closed) return;
    const task = this.#queue.startNext();
    if (task !== undefined) this.#hand(task);
  }

  /** Cancels a task of the queue, the executing one too; false when it has ended already. */
  cancel(task: Task): boolean {
    const handed = this.#handed.includes(task);
    const cancelled = this.#queue.cancel(task);
    if (handed) {
      this.#dropWorker(); // the simplest way to stop it for sure; a new worker takes 15 ms
      const [executing] = this.#handed;
      this.#handed = [];
      if (executing !== undefined && executing !== task) this.#hand(executing);
      else this.advance();
    }
    return cancelled;
  }

  /** Stops the worker; what waits in the queue stays there. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#dropWorker();
  }

  /** Hands the task that executes to the worker, and those behind it that cost no more than the message. */
  #hand(executing: Task): void {
    this.#handed = [executing];
    if (this.#suspects > 0) {
      this.#suspects--;
    } else if (this.#delayMs(executing) === 0) {
      let length = executing.data.length;
      for (const task of this.#queue.upcoming()) {
        length += task.data.length;
        if (this.#handed.length === MAX_HANDED || length > MAX_HANDED_LENGTH || this.#delayMs(task) > 0) {
          break;
        }
        this.#handed.push(task);
      }
    }
    this.#worker ??= this.#startWorker();
    this.#timer = setTimeout(() => this.#timeOut(), this.#taskTimeoutMs);
    this.#worker.postMessage(this.#handed.map((task): Assignment => ({
      name: task.name,
      data: task.data,
      delayMs: this.#delayMs(task),
    })));
  }

  #delayMs({ name }: Task): number {
    return (CATALOG.get(name)?.durationMs ?? 0) * this.#delayFactor;
  }

  #finish(outcome: Outcome): void {
    const task = this.#handed.shift();
    if (task !== undefined) this.#queue.finish(task, outcome);
    if (this.#handed.length > 0) {
      this.#queue.startNext(); // the next in hand is the next in line
    } else {
      clearTimeout(this.#timer);
      this.advance();
    }
  }

  /** The worker is of no use any more. */
  #fail(error: string): void {
    this.#dropWorker();
    if (this.#handed.length > 1) {
      this.#suspects = this.#handed.length;
      this.#hand(this.#handed[0]!);
    } else {
      this.#finish({ error });
    }
  }

  #timeOut(): void {
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

  #startWorker(): Worker {
    const worker = new Worker(this.#workerUrl, { type: "module", name: "tasks" });
    worker.onmessage = ({ data: outcomes }: MessageEvent<Outcome[]>) => {
      for (const outcome of outcomes) this.#finish(outcome);
    };
    worker.onerror = (event) => {
      event.preventDefault(); // else the error is thrown in this thread too
      const [message] = event.message.split("\n", 1);
      log.error("the worker thread died: {message}", { message });
      this.#fail(`the worker died: ${message}`);
    };
    return worker;
  }

  #dropWorker(): void {
    clearTimeout(this.#timer);
    if (this.#worker === undefined) return;
    this.#worker.onmessage = this.#worker.onerror = null; // its late words are nobody's
    this.#worker.terminate();
    this.#worker = undefined;
  }
}
