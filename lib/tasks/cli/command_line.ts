import { Argument, type Command } from "commander";
import { createProgram, flag, integer, seconds } from "../../service/flags.ts";
import { TASK_NAMES } from "../catalog.ts";
import { type Shell, SHELLS } from "./completions.ts";

/** What the user wants of a server. */
export type ServerCommand =
  | { name: "run"; taskName: string; data: string; wait: boolean }
  | { name: "st" | "res"; taskId: number; wait: boolean }
  | { name: "cancel"; taskId: number }
  | { name: "ls" | "stats" };

/** What holds for every command that speaks to a server. */
export interface CommonOptions {
  host: string;
  port: number;
  /** Print the server's answer as it came. */
  json: boolean;
  /** How long the whole command may take; undefined: for ever. */
  timeoutMs?: number;
  /** Bytes per read. */
  bufferBytes?: number;
}

/** A command line, understood. */
export type Invocation =
  | { name: "server"; command: ServerCommand; options: CommonOptions }
  | { name: "completions"; shell: Shell };

/** Called with what the command line asks for. */
export type OnInvocation = (invocation: Invocation) => void;

const EXAMPLES = `
Examples:
  tasks-cli run revers hello --wait      run a task, wait for its result
  tasks-cli run echo - < letter.txt      the data is what standard input holds
  tasks-cli run echo -- --dashes--       the data starts with a dash
  tasks-cli wait 4                       wait for the end of a task and print its result

Short form, for scripts that have it:
  tasks-cli -a run -n <task> -d <data> [-w true]
  tasks-cli -a st|res -d <id> [-w true]
  (--action, --task_name, --data, --waiting_for_data; -r, --receiving_buffer_size <bytes>)

Exit codes: 0 fine; 1 the task ended in error, the queue is full, or the answer cannot be written;
2 wrong usage; 3 no such task; 4 the server cannot be reached or broke the protocol; 5 --timeout ran out.`;

/** The options of `createTasksCli` and of the short form that say how to reach the server and how to answer. */
export function addCommonOptions(program: Command): Command {
  return program
    .addOption(flag("--host <host>", "where the server is", { env: "TASKS_HOST", default: "localhost" }))
    .addOption(
      flag("--port <port>", "its port", {
        env: "TASKS_PORT",
        default: 4321,
        parse: integer({ min: 1, max: 65_535 }),
      }),
    )
    .option("--json", "print the server's answer as one line of JSON")
    .addOption(
      flag("--timeout <seconds>", "give up after this time (default: never)", {
        parse: seconds({ min: 0.001 }),
      }),
    );
}

/** The options that `addCommonOptions` has put there. */
export function commonOptions(program: Command): CommonOptions {
  const { host, port, json = false, timeout } = program.opts();
  return { host, port, json, timeoutMs: timeout };
}

/** The id of a task as people write it: `4` or `#4`. */
export function taskId(text: string): number {
  return integer({ min: 1 })(text.replace(/^#/, ""));
}

/** The command line of tasks-cli, with a command as its first word. */
export function createTasksCli(onInvocation: OnInvocation): Command {
  const program = addCommonOptions(createProgram("tasks-cli", "Runs tasks on a tasks-server."))
    .usage("[options] <command>")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", EXAMPLES);
  const ask = (command: ServerCommand) =>
    onInvocation({ name: "server", command, options: commonOptions(program) });
  const id = () => new Argument("<id>", "the task's number").argParser(taskId);

  program.command("run")
    .summary("put a task in the queue")
    .description("Puts a task in the queue and prints its id; with --wait, its result.")
    // names are offered, not enforced: which tasks there are is for the server to say
    .addArgument(new Argument("<task>", "what to do").choices(TASK_NAMES).argParser((name) => name))
    .argument("<data>", "the text to do it with; - reads standard input")
    .option("--wait", "wait for the end of the task and print its result")
    .action((taskName, data, { wait = false }) => ask({ name: "run", taskName, data, wait }));
  program.command("st")
    .alias("status")
    .summary("print the status of a task")
    .description("Prints the status of a task: waiting, execute, success or error.")
    .addArgument(id())
    .action((taskId) => ask({ name: "st", taskId, wait: false }));
  program.command("res")
    .alias("result")
    .summary("print the result of a task")
    .description("Prints the result and the status of a task, as often as you like.")
    .addArgument(id())
    .action((taskId) => ask({ name: "res", taskId, wait: false }));
  program.command("wait")
    .summary("wait for the end of a task and print its result")
    .description("Waits for the end of a task and prints its result and status.")
    .addArgument(id())
    .action((taskId) => ask({ name: "res", taskId, wait: true }));
  program.command("ls")
    .alias("list")
    .summary("list the tasks that the server knows")
    .description("Lists the tasks that the server knows, with their place in the queue.")
    .action(() => ask({ name: "ls" }));
  program.command("cancel")
    .summary("end a task that waits or executes")
    .description("Ends a task that waits or executes; its status becomes error.")
    .addArgument(id())
    .action((taskId) => ask({ name: "cancel", taskId }));
  program.command("stats")
    .summary("print the counters of the server")
    .description("Prints the counters of the server.")
    .action(() => ask({ name: "stats" }));
  program.command("completions")
    .summary("print a script that completes command lines of tasks-cli")
    .description("Prints a script for your shell that completes command lines of tasks-cli.")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
To load it:
  bash   source <(tasks-cli completions bash)        (in ~/.bashrc)
  zsh    source <(tasks-cli completions zsh)         (in ~/.zshrc, after compinit)
  fish   tasks-cli completions fish | source         (in ~/.config/fish/config.fish)`,
    )
    .action((shell) => onInvocation({ name: "completions", shell }));
  return program;
}
