/** What tasks-cli asks a server, and what it makes of a connection that ends instead of an answer. */

import { setTimeout as delay } from "node:timers/promises";
import { withDeadline } from "../../service/clock.ts";
import { ProgramError } from "../../service/errors.ts";
import { ConnectionClosed, type TasksClient } from "../client.ts";
import type { Reply, Request } from "../protocol.ts";
import { EXIT, Unfinished } from "./failures.ts";
import { progressText } from "./texts.ts";

/** How long a server may take for an answer that it owes at once. */
const REPLY_TIMEOUT_MS = 30_000;

/** How often the place in the queue is asked for. */
const PLACE_EVERY_MS = 500;

/** Where a command is carried out. */
export interface Context {
  connect: (signal: AbortSignal) => Promise<TasksClient>;
  /** The server's address for error messages, as `host:port`. */
  server: string;
  /** Whether the answer is to be JSON. */
  json: boolean;
  /** Makes text from elsewhere fit for where the answer goes. JSON stays the same JSON. */
  show: (text: string) => string;
  /** Ends the command. */
  signal: AbortSignal;
  /** Told where the awaited task stands; without it, nothing is asked for it. */
  onProgress?: (text: string) => void;
}

/** Asks what the server answers at once. */
export function ask<T extends Request["type"]>(
  request: Extract<Request, { type: T }>,
  client: TasksClient,
  { signal }: Context,
): Promise<Reply<T>> {
  return withDeadline(client.request<T>(request, { signal }), REPLY_TIMEOUT_MS, "no answer");
}

/**
 * Asks about a task.
 *
 * @throws {ProgramError} when the server does not know it.
 */
export async function askAbout<T extends "status" | "get_result" | "cancel">(
  type: T,
  id: number,
  client: TasksClient,
  context: Context,
): Promise<Reply<T>> {
  try {
    return await ask<T>(about(type, id, false), client, context);
  } catch (error) {
    throw await refusal(error, context, {
      message: `${context.server} knows no task #${id}; for those it knows: tasks-cli ls`,
      exitCode: EXIT.noSuchTask,
    });
  }
}

/**
 * What it means that a request has failed. A server closes the connection instead of an answer when it does not take
 * the request, but also when it stops or has too many clients. The difference: the former still answers others.
 *
 * @returns what to throw: the error itself, or for a closed connection one with the given message and exit code.
 * @throws where the server answers nobody.
 */
export async function refusal(
  error: unknown,
  context: Context,
  { message, exitCode }: { message: string; exitCode: number },
): Promise<unknown> {
  if (!(error instanceof ConnectionClosed)) return error;
  await using another = await context.connect(context.signal);
  await ask({ type: "stats" }, another, context);
  return new ProgramError(message, { cause: error, exitCode });
}

/** A request about a task; `cancel` passes over `wait`. */
function about<T extends "status" | "get_result" | "cancel">(type: T, id: number, wait: boolean) {
  return { type, task_id: id, wait } as unknown as Extract<Request, { type: T }>;
}

/**
 * Waits for the end of a task, and tells meanwhile where it stands.
 *
 * @throws {Unfinished} when the signal ends the wait.
 * @throws {ProgramError} when the server does not know the task, or goes away.
 */
export async function whenEnded<T extends "status" | "get_result">(
  type: T,
  id: number,
  client: TasksClient,
  context: Context,
): Promise<Reply<T>> {
  const { signal, onProgress } = context;
  const done = new AbortController();
  let watching: Promise<void> | undefined;
  try {
    // asked first, so that an unknown id is told from a server that goes away during the wait
    const now = await askAbout("status", id, client, context);
    if (onProgress && (now.status === "waiting" || now.status === "execute")) {
      onProgress(progressText(id, now));
      watching = watchPlace(id, onProgress, { ...context, signal: AbortSignal.any([signal, done.signal]) });
    }
    return await client.request<T>(about(type, id, true), { signal });
  } catch (error) {
    if (signal.aborted) throw new Unfinished(id, signal.reason);
    if (!(error instanceof ConnectionClosed)) throw error;
    throw new ProgramError(
      `${context.server} closed the connection before task #${id} ended; if it still runs: tasks-cli wait ${id}`,
      { cause: error, exitCode: EXIT.server },
    );
  } finally {
    done.abort();
    await watching;
  }
}

/** Tells where a task stands until the signal; on a connection of its own, since replies come in order. */
async function watchPlace(id: number, onProgress: (text: string) => void, context: Context): Promise<void> {
  try {
    await using client = await context.connect(context.signal);
    while (true) {
      await delay(PLACE_EVERY_MS, undefined, { signal: context.signal });
      const now = await ask({ type: "status", task_id: id, wait: false }, client, context);
      onProgress(progressText(id, now));
    }
  } catch {
    // the wait is over, or there is no place to show: the wait itself goes on without it
  }
}
