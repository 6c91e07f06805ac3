/** Executes the tasks of a queue in a worker thread, one at a time, so that a slow task never delays a reply. */

import { getLogger } from "../service/log.ts";
import { CATALOG } from "./catalog.ts";
import type { Outcome, Task, TaskQueue } from "./queue.ts";

const log = getLogger(["solo", "tasks", "executor"]);

/** What the worker is told to do; it answers with an `Outcome`. */
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

/**
 * The one who takes tasks out of the queue.
 *
 * A worker that dies (an error that nothing caught) or that does not answer in time ends its task in `error`, and the
 * next task gets a new worker. A worker that ends itself (`self.close()`) raises no event in Deno 2.9.6: the time limit
 * covers that too.
 */
export class Executor implements Disposable {
  readonly #queue: TaskQueue;
  readonly #delayFactor: number;
  readonly #taskTimeoutMs: number;
  readonly #workerUrl: URL;
  #worker: Worker | undefined;
  #task: Task | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(queue: TaskQueue, options: ExecutorOptions) {
    this.#queue = queue;
    this.#delayFactor = options.delayFactor ?? 1;
    this.#taskTimeoutMs = options.taskTimeoutMs;
    // In an executable this file is part of a bundle; its worker is bundled under the same name beside it.
    this.#workerUrl = options.workerUrl ?? new URL("./executor_worker.ts", import.meta.url);
    this.#worker = this.#startWorker(); // ready before the first task comes
  }

  /** Starts the next task if none executes; to be called when a task was added. */
  advance(): void {
    if (this.#task !== undefined || this.#closed) return;
    const task = this.#task = this.#queue.startNext();
    if (task === undefined) return;
    this.#worker ??= this.#startWorker();
    this.#timer = setTimeout(() => this.#timeOut(task), this.#taskTimeoutMs);
    const durationMs = CATALOG.get(task.name)?.durationMs ?? 0;
    const assignment: Assignment = {
      name: task.name,
      data: task.data,
      delayMs: durationMs * this.#delayFactor,
    };
    this.#worker.postMessage(assignment);
  }

  /** Cancels a task of the queue, the executing one too; false when it has ended already. */
  cancel(task: Task): boolean {
    const executing = task === this.#task;
    const cancelled = this.#queue.cancel(task);
    if (executing) {
      this.#dropWorker(); // the simplest way to stop it for sure; a new one takes 15 ms
      this.#next();
    }
    return cancelled;
  }

  /** Stops the worker; what waits in the queue stays there. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#dropWorker();
  }

  #startWorker(): Worker {
    const worker = new Worker(this.#workerUrl, { type: "module", name: "tasks" });
    worker.onmessage = ({ data }: MessageEvent<Outcome>) => this.#finish(data);
    worker.onerror = (event) => {
      event.preventDefault(); // else the error is thrown in this thread too
      log.error("the worker thread died: {message}", { message: event.message });
      this.#dropWorker();
      this.#finish({ error: `the worker died: ${event.message}` });
    };
    return worker;
  }

  #dropWorker(): void {
    if (this.#worker === undefined) return;
    this.#worker.onmessage = this.#worker.onerror = null; // its late words are nobody's
    this.#worker.terminate();
    this.#worker = undefined;
  }

  #timeOut(task: Task): void {
    // terminate() does not stop a busy loop in Deno 2.9.6
    log.error("task {id} ({name}) hit the limit of {seconds} s; its old thread may still be running", {
      id: task.id,
      name: task.name,
      seconds: this.#taskTimeoutMs / 1000,
    });
    this.#dropWorker();
    this.#finish({ error: `took longer than ${this.#taskTimeoutMs / 1000} s` });
  }

  #finish(outcome: Outcome): void {
    if (this.#task !== undefined) this.#queue.finish(this.#task, outcome);
    this.#next();
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#task = undefined;
    this.advance();
  }
}
