import { setTimeout as delay } from "node:timers/promises";
import { withDeadline } from "../../service/clock.ts";
import { ProgramError } from "../../service/errors.ts";
import { EXIT_USAGE } from "../../service/flags.ts";
import { TASK_NAMES } from "../catalog.ts";
import { ConnectionClosed, type TasksClient } from "../client.ts";
import type { Reply, Request } from "../protocol.ts";
import type { ServerCommand } from "./command_line.ts";
import { EXIT, serverFailure, Unfinished } from "./failures.ts";
import { didYouMean } from "./suggest.ts";
import * as texts from "./texts.ts";

/** How long a server may take for an answer that it owes at once. */
const REPLY_TIMEOUT_MS = 30_000;

/** How often the place in the queue is asked for. */
const PLACE_EVERY_MS = 500;

/** Where a command is carried out. */
export interface Context {
  connect: () => Promise<TasksClient>;
  /** The server's address for error messages, as `host:port`. */
  server: string;
  /** Whether the answer is to be JSON. */
  json: boolean;
  /** Ends the command. */
  signal: AbortSignal;
  /** Told where the awaited task stands; without it, nothing is asked for it. */
  onProgress?: (text: string) => void;
}

/** What a command has to say. */
export interface Answer {
  /** For standard output, without the last line end. */
  text: string;
  /** What is wrong nevertheless: the task ended in `error`, for example. */
  failure?: ProgramError;
}

/**
 * Carries out a command.
 *
 * @throws {ProgramError} when there is no answer to print.
 * @throws {Unfinished} when the signal ended the wait for a task.
 * @throws the signal's reason when it ended anything else.
 */
export async function execute(command: ServerCommand, context: Context): Promise<Answer> {
  try {
    await using client = await context.connect();
    return await answer(command, client, context);
  } catch (error) {
    throw serverFailure(error, context.server);
  }
}

function answer(command: ServerCommand, client: TasksClient, context: Context): Promise<Answer> {
  switch (command.name) {
    case "run":
      return run(command, client, context);
    case "st":
      return status(command, client, context);
    case "res":
      return result(command, client, context);
    case "cancel":
      return cancel(command.taskId, client, context);
    case "ls":
    case "stats":
      return overview(command.name, client, context);
  }
}

async function run(
  { taskName, data, wait }: Extract<ServerCommand, { name: "run" }>,
  client: TasksClient,
  context: Context,
): Promise<Answer> {
  const reply = await start(taskName, data, client, context);
  if ("error" in reply) {
    const failure = new ProgramError(
      `${context.server} did not take the task: ${reply.error}; try again later`,
      {
        exitCode: EXIT.taskFailed,
      },
    );
    return { text: context.json ? JSON.stringify(reply) : "", failure };
  }
  const id = reply.task_id;
  if (wait) {
    const ended = await whenEnded("get_result", id, client, context);
    return resultAnswer(ended, id, `[${taskName}]`, taskName, context);
  }
  const text = context.json ? JSON.stringify(reply) : texts.addedText(taskName, id);
  // a name that this program does not know may be a slip, or known to a newer server: the server tells
  if (TASK_NAMES.includes(taskName)) return { text };
  const now = await ask({ type: "get_result", task_id: id, wait: false }, client, context);
  return { text, failure: failureOf(id, now, taskName) };
}

async function start(
  taskName: string,
  data: string,
  client: TasksClient,
  context: Context,
): Promise<Reply<"run">> {
  try {
    return await ask({ type: "run", task_name: taskName, data }, client, context);
  } catch (error) {
    throw await refusal(error, context, {
      message: `${context.server} does not take a task with so much data; give it less, ` +
        "or start the server with a larger --max-request-bytes",
      exitCode: EXIT_USAGE,
    });
  }
}

async function status(
  { taskId, wait }: Extract<ServerCommand, { name: "st" | "res" }>,
  client: TasksClient,
  context: Context,
): Promise<Answer> {
  const reply = wait
    ? await whenEnded("status", taskId, client, context)
    : await askAbout("status", taskId, client, context);
  return {
    text: context.json ? JSON.stringify(reply) : texts.statusText(taskId, reply),
    failure: failureOf(taskId, reply),
  };
}

async function result(
  { taskId, wait }: Extract<ServerCommand, { name: "st" | "res" }>,
  client: TasksClient,
  context: Context,
): Promise<Answer> {
  const reply = wait
    ? await whenEnded("get_result", taskId, client, context)
    : await askAbout("get_result", taskId, client, context);
  return resultAnswer(reply, taskId, `#${taskId}`, undefined, context);
}

async function cancel(taskId: number, client: TasksClient, context: Context): Promise<Answer> {
  const reply = await askAbout("cancel", taskId, client, context);
  return { text: context.json ? JSON.stringify(reply) : texts.cancelText(taskId, reply) };
}

async function overview(name: "ls" | "stats", client: TasksClient, context: Context): Promise<Answer> {
  if (name === "ls") {
    const reply = await ask({ type: "list" }, client, context);
    return { text: context.json ? JSON.stringify(reply) : texts.listText(reply) };
  }
  const reply = await ask({ type: "stats" }, client, context);
  return { text: context.json ? JSON.stringify(reply) : texts.statsText(reply) };
}

function resultAnswer(
  reply: Reply<"get_result">,
  id: number,
  label: string,
  taskName: string | undefined,
  { json }: Context,
): Answer {
  return {
    text: json ? JSON.stringify(reply) : texts.resultText(label, reply),
    failure: failureOf(id, reply, taskName),
  };
}

/** What to say of a task that ended in `error`. */
function failureOf(
  id: number,
  { status, error }: { status: string; error?: string },
  taskName?: string,
): ProgramError | undefined {
  if (status !== "error") return undefined;
  const meant = taskName === undefined || TASK_NAMES.includes(taskName)
    ? undefined
    : didYouMean(taskName, TASK_NAMES);
  const why = error === undefined ? `; for the reason: tasks-cli res ${id}` : `: ${texts.printable(error)}`;
  const hint = meant ? ` (Did you mean ${meant}?)` : "";
  return new ProgramError(`task #${id} ended in error${why}${hint}`, { exitCode: EXIT.taskFailed });
}

/** Asks what the server answers at once. */
function ask<T extends Request["type"]>(
  request: Extract<Request, { type: T }>,
  client: TasksClient,
  { signal }: Context,
): Promise<Reply<T>> {
  return withDeadline(client.request<T>(request, { signal }), REPLY_TIMEOUT_MS, "no answer");
}

/** Asks about a task. */
async function askAbout<T extends "status" | "get_result" | "cancel">(
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
 * @param meaning What to say where the server does not take the request.
 */
async function refusal(
  error: unknown,
  context: Context,
  { message, exitCode }: { message: string; exitCode: number },
): Promise<unknown> {
  if (!(error instanceof ConnectionClosed)) return error;
  await using another = await context.connect();
  await ask({ type: "stats" }, another, context);
  return new ProgramError(message, { cause: error, exitCode });
}

/** A request about a task; `cancel` passes over `wait`. */
function about<T extends "status" | "get_result" | "cancel">(type: T, id: number, wait: boolean) {
  return { type, task_id: id, wait } as unknown as Extract<Request, { type: T }>;
}

/** Waits for the end of a task, and tells meanwhile where it stands. */
async function whenEnded<T extends "status" | "get_result">(
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
      onProgress(texts.progressText(id, now));
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
    await using client = await context.connect();
    while (true) {
      await delay(PLACE_EVERY_MS, undefined, { signal: context.signal });
      const now = await ask({ type: "status", task_id: id, wait: false }, client, context);
      onProgress(texts.progressText(id, now));
    }
  } catch {
    // the wait is over, or there is no place to show: the wait itself goes on without it
  }
}
