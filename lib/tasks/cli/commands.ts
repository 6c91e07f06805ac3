import { ProgramError } from "../../service/errors.ts";
import { EXIT_USAGE } from "../../service/flags.ts";
import { printable } from "../../service/printable.ts";
import { TASK_NAMES } from "../catalog.ts";
import type { TasksClient } from "../client.ts";
import type { Reply } from "../protocol.ts";
import type { ServerCommand } from "./command_line.ts";
import { EXIT, serverFailure } from "./failures.ts";
import { ask, askAbout, type Context, refusal, whenEnded } from "./questions.ts";
import { didYouMean } from "./suggest.ts";
import * as texts from "./texts.ts";

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
    await using client = await context.connect(context.signal);
    return await answer(command, client, context);
  } catch (error) {
    throw serverFailure(error, context.server);
  }
}

async function answer(command: ServerCommand, client: TasksClient, context: Context): Promise<Answer> {
  const shown = <R>(reply: R, text: (reply: R) => string) =>
    context.json ? context.show(JSON.stringify(reply)) : text(reply);
  switch (command.name) {
    case "run":
      return await run(command, client, context);
    case "st": {
      const id = command.taskId;
      const reply = await lookUp("status", command, client, context);
      return { text: shown(reply, (reply) => texts.statusText(id, reply)), failure: failureOf(id, reply) };
    }
    case "res": {
      const id = command.taskId;
      const reply = await lookUp("get_result", command, client, context);
      return {
        text: shown(reply, (reply) => texts.resultText(`#${id}`, reply, context.show)),
        failure: failureOf(id, reply),
      };
    }
    case "cancel": {
      const reply = await askAbout("cancel", command.taskId, client, context);
      return { text: shown(reply, (reply) => texts.cancelText(command.taskId, reply)) };
    }
    case "ls":
      return { text: shown(await ask({ type: "list" }, client, context), texts.listText) };
    case "stats":
      return { text: shown(await ask({ type: "stats" }, client, context), texts.statsText) };
  }
}

async function run(
  { taskName, data, wait }: Extract<ServerCommand, { name: "run" }>,
  client: TasksClient,
  context: Context,
): Promise<Answer> {
  const { json, server, show } = context;
  const reply = await start(taskName, data, client, context);
  if ("error" in reply) {
    const message = `${server} did not take the task: ${printable(reply.error)}; try again later`;
    return {
      text: json ? show(JSON.stringify(reply)) : "",
      failure: new ProgramError(message, { exitCode: EXIT.taskFailed }),
    };
  }
  const id = reply.task_id;
  if (wait) {
    const ended = await whenEnded("get_result", id, client, context);
    return {
      text: json ? show(JSON.stringify(ended)) : texts.resultText(`[${show(taskName)}]`, ended, show),
      failure: failureOf(id, ended, taskName),
    };
  }
  const text = json ? show(JSON.stringify(reply)) : texts.addedText(show(taskName), id);
  // a name that this program does not know may be a slip, or known to a newer server: the server tells
  if (TASK_NAMES.includes(taskName)) return { text };
  return { text, failure: failureOf(id, await askAbout("get_result", id, client, context), taskName) };
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

/** Asks about a task, now or at its end. */
function lookUp<T extends "status" | "get_result">(
  type: T,
  { taskId, wait }: { taskId: number; wait: boolean },
  client: TasksClient,
  context: Context,
): Promise<Reply<T>> {
  return (wait ? whenEnded : askAbout)(type, taskId, client, context);
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
  const why = error === undefined ? `; for the reason: tasks-cli res ${id}` : `: ${printable(error)}`;
  const hint = meant ? ` (Did you mean ${meant}?)` : "";
  return new ProgramError(`task #${id} ended in error${why}${hint}`, { exitCode: EXIT.taskFailed });
}
