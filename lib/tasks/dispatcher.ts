/** Turns requests into replies: what the protocol means in terms of the queue. Knows nothing of connections. */

import { CATALOG, TASK_NAMES } from "./catalog.ts";
import type { Executor } from "./executor.ts";
import { LIST_LIMIT, QUEUE_IS_FULL, type Reply, type Request, UnknownTask } from "./protocol.ts";
import { hasEnded, type Task, type TaskQueue } from "./queue.ts";

/** The longest name of an unknown kind that is kept: enough to see a typing mistake. */
const MAX_UNKNOWN_NAME = 64;

/** A reply about a task, to be made when its turn has come: the task may have changed by then. */
export class TaskReply {
  constructor(
    readonly task: Task,
    /** Whether it has to wait until the task, which has not ended yet, has ended. */
    readonly waits: boolean,
    readonly reply: () => Reply<"status" | "get_result">,
  ) {}
}

/** What the answers need to know of the server. */
export interface ServerFacts {
  /** Clients connected now. */
  readonly connections: number;
  /** Milliseconds since the start. */
  readonly uptimeMs: number;
}

/** Answers requests from one queue. */
export class Dispatcher {
  constructor(
    readonly queue: TaskQueue,
    readonly executor: Pick<Executor, "advance" | "cancel">,
    readonly facts: ServerFacts,
  ) {}

  /**
   * The reply to a request, or what it waits for.
   *
   * @param owner Who asks, as a number; decides whether `status` waits.
   * @throws {UnknownTask} where the request names a task that is not known.
   */
  answer(request: Request, owner: number): Reply<Request["type"]> | TaskReply {
    switch (request.type) {
      case "run":
        return this.#run(request.task_name, request.data, owner);
      case "status": {
        const task = this.#known(request.task_id);
        const waits = !hasEnded(task) && (request.wait ?? task.owner === owner);
        return new TaskReply(task, waits, () => this.#status(task));
      }
      case "get_result": {
        const task = this.#known(request.task_id);
        return new TaskReply(task, !hasEnded(task) && request.wait === true, () => result(task));
      }
      case "list":
        return this.#list();
      case "cancel": {
        const task = this.#known(request.task_id);
        return { cancelled: this.executor.cancel(task), status: task.status };
      }
      case "stats":
        return {
          ...this.queue.counts,
          connections: this.facts.connections,
          uptime_s: Math.round(this.facts.uptimeMs) / 1000,
        };
    }
  }

  #run(name: string, data: string, owner: number): Reply<"run"> {
    if (!CATALOG.has(name)) {
      const shown = name.length > MAX_UNKNOWN_NAME ? name.slice(0, MAX_UNKNOWN_NAME) + "…" : name;
      const error = `no task is named ${JSON.stringify(shown)}; there are ${TASK_NAMES.join(", ")}`;
      return { task_id: this.queue.addFailed(shown, error, owner).id };
    }
    const task = this.queue.add(name, data, owner);
    if (task === undefined) return { error: QUEUE_IS_FULL };
    this.executor.advance();
    return { task_id: task.id };
  }

  #known(id: number): Task {
    const task = this.queue.get(id);
    if (task === undefined) throw new UnknownTask(id);
    return task;
  }

  #status(task: Task): Reply<"status"> {
    return { status: task.status, position: this.queue.positionOf(task) }; // JSON leaves out what is undefined
  }

  #list(): Reply<"list"> {
    const tasks = this.queue.list(LIST_LIMIT).map((task) => ({
      task_id: task.id,
      task_name: task.name,
      ...this.#status(task),
    }));
    const { waiting, executing, kept } = this.queue.counts;
    return { tasks, total: waiting + executing + kept };
  }
}

function result(task: Task): Reply<"get_result"> {
  return { status: task.status, data: task.result, error: task.error };
}
