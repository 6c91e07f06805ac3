import { type Command, InvalidArgumentError } from "commander";
import { createProgram, flag, integer } from "../../service/flags.ts";
import { TASK_NAMES } from "../catalog.ts";
import {
  addCommonOptions,
  commonOptions,
  type OnInvocation,
  type ServerCommand,
  taskId,
} from "./command_line.ts";

/** The flags that only this form has; `-r` alone does not make it. */
const OWN_FLAGS = /^(-[andw]|--(action|task_name|data|waiting_for_data)(=|$))/;

/**
 * Whether a command line is in the form where flags say everything: `--action run --task_name echo --data hello`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(isFlagForm(["--host", "h", "-a", "st", "-d", "4"]), true);
 * assert.equal(isFlagForm(["--host", "h", "st", "4"]), false);
 * assert.equal(isFlagForm(["run", "echo", "--", "-a"]), false);
 * ```
 */
export function isFlagForm(args: readonly string[]): boolean {
  return args[0]?.startsWith("-") === true && beforeDashes(args).some((arg) => OWN_FLAGS.test(arg));
}

/** The command line of tasks-cli in the form where flags say everything. */
export function createFlagForm(onInvocation: OnInvocation): Command {
  const program = createProgram("tasks-cli", "Runs tasks on a tasks-server.");
  return addCommonOptions(program)
    .addOption(
      flag("-a, --action <action>", "what to do").choices(["run", "st", "res"]).makeOptionMandatory(),
    )
    .option("-n, --task_name <task>", `the task to run: ${TASK_NAMES.join(", ")}`)
    .option("-d, --data <data>", "the task's data (- reads standard input), or the id for st and res")
    .addOption(
      flag("-w, --waiting_for_data [bool]", "wait for the end of the task: true or false", { parse: bool }),
    )
    .addOption(
      flag("-r, --receiving_buffer_size <bytes>", "bytes per read", {
        parse: integer({ min: 1, max: 1024 * 1024 * 1024 }),
        default: 1024,
      }),
    )
    .action(() => {
      const options = { ...commonOptions(program), bufferBytes: program.opts().receiving_buffer_size };
      onInvocation({ name: "server", command: commandOf(program), options });
    });
}

/** What the flags ask for; flags that contradict each other end in commander's own way. */
function commandOf(program: Command): ServerCommand {
  const { action, task_name: taskName, data, waiting_for_data: wait = false } = program.opts();
  if (data === undefined) {
    program.error(
      `--action ${action} needs --data: ${action === "run" ? "the task's data" : "the task's id"}`,
    );
  }
  if (action === "run") {
    if (taskName === undefined) {
      program.error(`--action run needs --task_name: one of ${TASK_NAMES.join(", ")}`);
    }
    return { name: "run", taskName, data, wait };
  }
  try {
    return { name: action, taskId: taskId(data), wait };
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    program.error(`--data '${data}' is no task id. ${error.message}`);
  }
}

function bool(text: string): boolean {
  if (/^(true|yes|1)$/i.test(text)) return true;
  if (/^(false|no|0)$/i.test(text)) return false;
  throw new InvalidArgumentError("Give true or false.");
}

function beforeDashes(args: readonly string[]): readonly string[] {
  const dashes = args.indexOf("--");
  return dashes === -1 ? args : args.slice(0, dashes);
}
