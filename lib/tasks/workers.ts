/** Worker threads for the executor: one to work, one to spare, and never a wait for a new one in this thread. */

import type { Outcome } from "./queue.ts";

/** One task for a worker, which it answers with its outcome. */
export interface Assignment {
  name: string;
  data: string;
}

/** What a worker says on the port that it was given, once it has told whoever started it that it is up. */
export type FromWorker = "ready" | Outcome;

/** How a thread for tasks is started: none of them needs a right. */
export const TASKS_WORKER: WorkerOptions = { type: "module", name: "tasks", deno: { permissions: "none" } };

/** What the nursery is asked: to start a worker, whose port comes along, or to end one. */
export type ToNursery = { start: number; url: string } | { end: number };

/** What the nursery tells: an error that nothing caught has ended a worker. */
export interface FromNursery {
  died: number;
  message: string;
}

/** A thread that executes tasks, one at a time. */
export class WorkerThread {
  /** Called with the outcome of a task. */
  onOutcome: ((outcome: Outcome) => void) | undefined;
  /** Called when it has become ready. */
  onReady: (() => void) | undefined;
  /** Called when it has died. */
  onDeath: ((message: string) => void) | undefined;
  /** Why it has died, if it has. */
  death: string | undefined;
  #isReady = false;
  readonly #port: MessagePort;
  readonly #end: () => void;

  constructor(port: MessagePort, end: () => void) {
    this.#port = port;
    this.#end = end;
    port.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data !== "ready") return this.onOutcome?.(data);
      this.#isReady = true;
      this.onReady?.();
    };
  }

  /** Whether it has started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Has it execute a task. */
  assign(assignment: Assignment): void {
    this.#port.postMessage(assignment);
  }

  /** Ends it; it says nothing any more. A thread in a busy loop goes on with it (Deno 2.9.6), heard by nobody. */
  terminate(): void {
    this.onOutcome = this.onReady = this.onDeath = undefined;
    this.#port.close();
    this.#end();
  }

  /** To be called when an error that nothing caught has ended it. */
  die(message: string): void {
    this.death = message;
    this.onDeath?.(message);
  }
}

/**
 * Where workers come from.
 *
 * `new Worker()` holds its caller until the thread is up, 10 to 70 ms, so only the first one is started here, before any
 * client is served. The others are started by a thread of their own, the nursery. In Deno 2.9.6 a worker of a worker
 * needs a second to get ready; so one is always kept to spare.
 */
export class Workers implements Disposable {
  readonly #url: string;
  readonly #nursery: Worker;
  /** Those that the nursery has started and not been told to end, by number. */
  readonly #nurslings = new Map<number, WorkerThread>();
  #first: WorkerThread | undefined;
  #spare: WorkerThread;
  #lastNumber = 0;

  /** @param url The workers' module. */
  constructor(url: URL) {
    this.#url = url.href;
    this.#first = this.#startHere();
    // In an executable this module is part of a bundle, and its workers stand beside the bundle under the same names.
    this.#nursery = new Worker(new URL("./worker_nursery.ts", import.meta.url), {
      type: "module",
      name: "nursery",
      deno: { permissions: { read: "inherit" } }, // to load the modules of its workers
    });
    this.#nursery.onmessage = ({ data: { died, message } }: MessageEvent<FromNursery>) =>
      this.#nurslings.get(died)?.die(message);
    this.#spare = this.#startThere();
  }

  /** A worker to be used until its end, and a new one to spare. It may not be ready yet, where the last was taken just now. */
  take(): WorkerThread {
    const first = this.#first;
    if (first !== undefined) {
      this.#first = undefined;
      return first;
    }
    const taken = this.#spare;
    this.#spare = this.#startThere();
    return taken;
  }

  /** Ends the workers that nobody has taken, and the nursery with all that it has started. */
  [Symbol.dispose](): void {
    this.#first?.terminate();
    this.#spare.terminate();
    this.#nursery.terminate();
  }

  #startHere(): WorkerThread {
    const worker = new Worker(this.#url, TASKS_WORKER);
    const { port1, port2 } = new MessageChannel();
    const thread = new WorkerThread(port1, () => {
      port2.close(); // where it was not given away
      worker.terminate();
    });
    // not before it is up: a port that is sent to a thread which has died already is lost, and open for ever
    worker.onmessage = () => worker.postMessage(null, [port2]);
    worker.onerror = (event) => {
      event.preventDefault(); // else the error is thrown in this thread too
      thread.die(event.message);
    };
    return thread;
  }

  #startThere(): WorkerThread {
    const number = ++this.#lastNumber;
    const { port1, port2 } = new MessageChannel();
    const tell = (words: ToNursery, ports: MessagePort[] = []) => this.#nursery.postMessage(words, ports);
    tell({ start: number, url: this.#url }, [port2]);
    const thread = new WorkerThread(port1, () => {
      this.#nurslings.delete(number);
      tell({ end: number });
    });
    this.#nurslings.set(number, thread);
    return thread;
  }
}
