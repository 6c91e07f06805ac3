/** tasks-cli: runs tasks on a tasks-server, asks for their status and results, waits. */

import { exitOf } from "./lib/service/flags.ts";
import { ProgramError } from "./lib/service/errors.ts";
import { listenForShutdown } from "./lib/service/shutdown.ts";
import { TasksClient } from "./lib/tasks/client.ts";
import {
  type CommonOptions,
  createTasksCli,
  type Invocation,
  type ServerCommand,
} from "./lib/tasks/cli/command_line.ts";
import { execute } from "./lib/tasks/cli/commands.ts";
import { completionScript } from "./lib/tasks/cli/completions.ts";
import { EXIT, Unfinished } from "./lib/tasks/cli/failures.ts";
import { createFlagForm, isFlagForm } from "./lib/tasks/cli/flag_form.ts";
import { readText } from "./lib/tasks/cli/input.ts";
import { writeText } from "./lib/tasks/cli/output.ts";
import { printable } from "./lib/service/printable.ts";

/** 128 and the number of the signal, as shells have it. */
const EXIT_BY_SIGNAL: Record<string, number> = { SIGINT: 130, SIGTERM: 143 };

Deno.exit(await main());

async function main(): Promise<number> {
  // a second signal means nothing: Ctrl-C arrives twice under `deno task`, from the terminal and passed on by deno
  using shutdown = listenForShutdown(() => {});
  try {
    const invocation = parse(Deno.args);
    if (invocation.name === "server") {
      return await serverCommand(invocation.command, invocation.options, shutdown.signal);
    }
    const script = completionScript(invocation.shell, createTasksCli(() => {}));
    await writeText(script, Deno.stdout, shutdown.signal);
    return 0;
  } catch (error) {
    if (shutdown.signal.aborted) {
      if (error instanceof Unfinished) console.error(`Interrupted: ${error.message}`);
      return EXIT_BY_SIGNAL[shutdown.signal.reason]!;
    }
    const { code, line } = exitOf(error);
    if (line !== undefined) console.error(line);
    return code;
  }
}

function parse(args: string[]): Invocation {
  let result: Invocation | undefined;
  const create = isFlagForm(args) ? createFlagForm : createTasksCli;
  create((invocation) => result = invocation).parse(args, { from: "user" });
  return result!; // every action of commander's tells, and what is no action throws
}

async function serverCommand(
  command: ServerCommand,
  { host, port, json, timeoutMs, bufferBytes }: CommonOptions,
  interrupt: AbortSignal,
): Promise<number> {
  const signal = timeoutMs === undefined
    ? interrupt
    : AbortSignal.any([interrupt, AbortSignal.timeout(timeoutMs)]);
  const spinner = await createSpinner();
  try {
    if (command.name === "run" && command.data === "-") {
      command = { ...command, data: await readText(Deno.stdin.readable, { signal }) };
    }
    const { text, failure } = await execute(command, {
      connect: (signal) => TasksClient.connect({ hostname: host, port, signal, bufferBytes }),
      server: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
      json,
      show: Deno.stdout.isTerminal() ? printable : (text) => text, // into a pipe or file goes exactly what came
      signal,
      onProgress: spinner?.show,
    });
    spinner?.stop();
    if (text !== "") await writeText(`${text}\n`, Deno.stdout, signal);
    if (failure) throw failure;
    return 0;
  } catch (error) {
    spinner?.stop();
    throw timeoutMs !== undefined && isTimeout(error) ? timedOut(error, timeoutMs) : error;
  }
}

/** Whether `--timeout` has ended it. */
function isTimeout(error: unknown): boolean {
  const reason = error instanceof Unfinished ? error.cause : error;
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

function timedOut(error: unknown, timeoutMs: number): ProgramError {
  const next = error instanceof Unfinished ? error.message : "give it a longer --timeout";
  return new ProgramError(`not done within ${timeoutMs / 1000} s; ${next}`, {
    cause: error,
    exitCode: EXIT.timeout,
  });
}

interface TerminalSpinner {
  show(text: string): void;
  stop(): void;
}

/** A line on a terminal that moves while something is waited for; undefined where nobody looks at one. */
async function createSpinner(): Promise<TerminalSpinner | undefined> {
  const dumb = Deno.env.get("TERM") === "dumb" || Deno.env.has("CI");
  if (dumb || !Deno.stderr.isTerminal()) return undefined;
  // loaded only here: it asks the environment for a dozen variables that tell the colours of a terminal
  const { default: yoctoSpinner } = await import("yocto-spinner");
  const spinner = yoctoSpinner({ handleSignals: false }); // signals are handled above
  return {
    show: (text) => spinner.start(text), // a new text for one that runs already
    stop: () => spinner.stop(),
  };
}
