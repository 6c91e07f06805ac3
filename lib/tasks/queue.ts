/** The life of tasks: who waits, who executes, which results are kept. No I/O; time is a parameter. */

import type { Clock } from "../service/clock.ts";
import { type InLine, Line } from "./line.ts";
import { CANCELLED, type TaskStatus } from "./protocol.ts";

/** A task as everyone but the queue may see it. */
export interface Task {
  readonly id: number;
  readonly name: string;
  /** Who added it; a number that means something to the caller only. */
  readonly owner: number;
  readonly status: TaskStatus;
  /** What to work on; empty once the task has ended. */
  readonly data: string;
  /** Null unless the status is `success`. */
  readonly result: string | null;
  /** Why the task ended in `error`. */
  readonly error?: string;
  /** When it came, by the queue's clock. */
  readonly addedAtMs: number;
  /** When it left the queue; undefined while it waits, and for a task that never executed. */
  readonly startedAtMs?: number;
}

/** How a task ended: a result, or why there is none. */
export type Outcome = { readonly result: string } | { readonly error: string };

/** Whether nothing about a task will change any more. */
export function hasEnded({ status }: Task): boolean {
  return status === "success" || status === "error";
}

/** Called once, when the task has ended. */
export type EndListener = (task: Task) => void;

/** Is told what happens in a queue, to count it. */
export interface QueueObserver {
  /**
   * A task has ended.
   *
   * @param waitMs How long it waited for its turn; undefined where it never had it.
   * @param runMs How long it executed, its simulated duration included.
   */
  onTaskEnd(task: Task, waitMs?: number, runMs?: number): void;
  /** A task was refused, since the line is full. */
  onTaskRefused(): void;
}

/** How much a queue holds. */
export interface QueueLimits {
  /** Tasks that wait. */
  maxWaiting: number;
  /** Memory for the data of tasks that wait. */
  maxWaitingBytes: number;
  /** Ended tasks that are kept. */
  maxKept: number;
  /** Memory for the results of ended tasks. */
  maxKeptBytes: number;
}

interface TaskRecord extends InLine, Mutable<Task> {
  listeners: Set<EndListener> | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Tasks that wait in line, the one that executes, and the latest that have ended.
 *
 * A task is `waiting`, then `execute`, then `success` or `error`; never two execute. A waiting task may also be
 * cancelled, which is an `error`. Of ended tasks the oldest are forgotten first; a forgotten id is unknown.
 */
export class TaskQueue {
  readonly #limits: QueueLimits;
  readonly #clock: Clock;
  readonly #observer: QueueObserver | undefined;
  readonly #tasks = new Map<number, TaskRecord>();
  readonly #waiting = new Line<TaskRecord>();
  readonly #kept = new Line<TaskRecord>();
  #executing: TaskRecord | undefined;
  #lastId = 0;
  #waitingBytes = 0;
  #keptBytes = 0;
  #succeeded = 0;
  #failed = 0;

  constructor(limits: QueueLimits, clock: Clock, observer?: QueueObserver) {
    this.#limits = limits;
    this.#clock = clock;
    this.#observer = observer;
  }

  /** Adds a task to the end of the line; undefined when the line is full. */
  add(name: string, data: string, owner: number): Task | undefined {
    const bytes = this.#waitingBytes + bytesOf(data);
    if (this.#waiting.length >= this.#limits.maxWaiting || bytes > this.#limits.maxWaitingBytes) {
      this.#observer?.onTaskRefused();
      return undefined;
    }
    this.#waitingBytes = bytes;
    const task = this.#create(name, data, owner);
    this.#waiting.join(task);
    return task;
  }

  /** Adds a task that ends at once in `error`. */
  addFailed(name: string, error: string, owner: number): Task {
    const task = this.#create(name, "", owner);
    this.#end(task, { error });
    return task;
  }

  /** The task with this id, unless it never was or is forgotten. */
  get(id: number): Task | undefined {
    return this.#tasks.get(id);
  }

  /** The place in line of a task that waits, 1 = next; undefined for any other. */
  positionOf(task: Task): number | undefined {
    return task.status === "waiting" ? this.#waiting.positionOf(task as TaskRecord) : undefined;
  }

  /** Takes the next task out of the line to execute it; undefined when none waits or one executes already. */
  startNext(): Task | undefined {
    const task = this.#waiting.first;
    if (this.#executing !== undefined || task === undefined) return undefined;
    this.#leaveLine(task);
    task.status = "execute";
    task.startedAtMs = this.#clock.nowMs();
    return this.#executing = task;
  }

  /** The tasks that wait, the next one first. */
  upcoming(): Iterable<Task> {
    return this.#waiting;
  }

  /**
   * Ends the task that executes.
   *
   * @throws {Error} when another or no task executes.
   */
  finish(task: Task, outcome: Outcome): void {
    if (task !== this.#executing) throw new Error(`Cannot finish task ${task.id}: it is ${task.status}`);
    this.#executing = undefined;
    this.#end(task as TaskRecord, outcome);
  }

  /** Ends a task that waits or executes in `error`; false when it has ended already. */
  cancel(task: Task): boolean {
    if (task.status === "execute") {
      this.finish(task, { error: CANCELLED });
    } else if (task.status === "waiting") {
      this.#leaveLine(task as TaskRecord);
      this.#end(task as TaskRecord, { error: CANCELLED });
    } else {
      return false;
    }
    return true;
  }

  /** Calls `listener` when the task, which has not ended yet, ends; the result takes that back. */
  onEnd(task: Task, listener: EndListener): () => void {
    const listeners = (task as TaskRecord).listeners ??= new Set();
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /**
   * The tasks that are known, in the order of their ids, at most `limit`: where there are more, one half for those that
   * execute or come next, one half for those that ended last.
   */
  list(limit: number): Task[] {
    const live = (this.#executing ? 1 : 0) + this.#waiting.length;
    const half = Math.floor(limit / 2);
    const maxEnded = Math.max(half, limit - live);
    const ended = take(this.#kept.backwards(), maxEnded);
    const listed: Task[] = this.#executing ? [this.#executing] : [];
    listed.push(...take(this.#waiting, limit - ended.length - listed.length), ...ended);
    return listed.sort((a, b) => a.id - b.id);
  }

  /** Counters: three of now, two since the start. */
  get counts(): { waiting: number; executing: number; kept: number; succeeded: number; failed: number } {
    return {
      waiting: this.#waiting.length,
      executing: this.#executing ? 1 : 0,
      kept: this.#kept.length,
      succeeded: this.#succeeded,
      failed: this.#failed,
    };
  }

  /** Memory now for the data of tasks that wait and for the results of those that are kept. */
  get bytes(): { waiting: number; kept: number } {
    return { waiting: this.#waitingBytes, kept: this.#keptBytes };
  }

  #create(name: string, data: string, owner: number): TaskRecord {
    const task: TaskRecord = {
      id: ++this.#lastId,
      name,
      owner,
      status: "waiting",
      data,
      result: null,
      error: undefined,
      addedAtMs: this.#clock.nowMs(),
      startedAtMs: undefined,
      listeners: undefined,
      slot: 0,
    };
    this.#tasks.set(task.id, task);
    return task;
  }

  #leaveLine(task: TaskRecord): void {
    this.#waiting.leave(task);
    this.#waitingBytes -= bytesOf(task.data);
  }

  #end(task: TaskRecord, outcome: Outcome): void {
    task.data = "";
    if ("result" in outcome) {
      task.status = "success";
      task.result = outcome.result;
      this.#succeeded++;
    } else {
      task.status = "error";
      task.error = outcome.error;
      this.#failed++;
    }
    this.#tellObserver(task);
    this.#keptBytes += keptBytesOf(task);
    this.#kept.join(task);
    this.#forgetOldest();
    const { listeners } = task;
    task.listeners = undefined;
    listeners?.forEach((listener) => listener(task));
  }

  #tellObserver(task: Task): void {
    if (this.#observer === undefined) return;
    const { addedAtMs, startedAtMs } = task;
    if (startedAtMs === undefined) this.#observer.onTaskEnd(task);
    else this.#observer.onTaskEnd(task, startedAtMs - addedAtMs, this.#clock.nowMs() - startedAtMs);
  }

  #forgetOldest(): void {
    while (this.#kept.length > this.#limits.maxKept || this.#keptBytes > this.#limits.maxKeptBytes) {
      const oldest = this.#kept.first!;
      this.#kept.leave(oldest);
      this.#keptBytes -= keptBytesOf(oldest);
      this.#tasks.delete(oldest.id);
    }
  }
}

/** The memory that a text takes at most: two bytes for each UTF-16 unit (one where all are Latin-1). */
function bytesOf(text: string): number {
  return 2 * text.length;
}

function keptBytesOf(task: Task): number {
  return bytesOf(task.result ?? "") + bytesOf(task.error ?? "");
}

function take<T>(items: Iterable<T>, limit: number): T[] {
  const taken: T[] = [];
  if (limit <= 0) return taken;
  for (const item of items) {
    taken.push(item);
    if (taken.length >= limit) break;
  }
  return taken;
}
