/** tasks-cli on a terminal, and where its output goes to nobody. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { commandOf, runProgram, startServer, unlessOlderRuntime } from "../support/program.ts";
import { Peer } from "../support/tasks.ts";
import { Terminal } from "../support/terminal.ts";
import { PATIENCE_MS, until } from "../support/wait.ts";

const CTRL_C = "\x03";
/** What a terminal is told about colours. */
// deno-lint-ignore no-control-regex
const COLOR = /\x1b\[\d+(;\d+)*m/;

function addressOf(port: number): Record<string, string> {
  return { TASKS_HOST: "127.0.0.1", TASKS_PORT: String(port) };
}

/** The one that the spinner has hidden. */
function cursorIsBack({ screen }: Terminal): void {
  assert.ok(screen.lastIndexOf("\x1b[?25h") > screen.lastIndexOf("\x1b[?25l"), JSON.stringify(screen));
}

Deno.test("tasks-cli: shows the place in the queue while it waits; Ctrl-C leaves the task to the server", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "1000"]);
  const env = addressOf(server.port);
  await runProgram("tasks-cli", ["run", "too_long_echo", "executes"], { env });
  await runProgram("tasks-cli", ["run", "too_long_echo", "waits"], { env });
  await using terminal = new Terminal("tasks-cli", ["run", "echo", "x", "--wait"], { ...env, TERM: "xterm" });
  await terminal.shows(/Task #3 waits, place 2 in the queue/);
  await runProgram("tasks-cli", ["cancel", "2"], { env });
  await terminal.shows(/Task #3 waits, place 1 in the queue/);
  await terminal.type(CTRL_C + CTRL_C); // `deno task` passes on what the terminal has sent already
  assert.equal(await terminal.ended, 130);
  assert.match(terminal.screen, /Interrupted: task #3 goes on; for its result: tasks-cli wait 3\r\n$/);
  assert.match(terminal.screen, COLOR);
  cursorIsBack(terminal);
  const { stdout } = await runProgram("tasks-cli", ["st", "3"], { env });
  assert.equal(stdout, "Status of task #3: waiting\n");
});

// The spinner asks the environment what the terminal can do. Each of these takes another way through its questions;
// a variable that the permissions of tasks-cli do not name would end the program.
const TERMINALS: Record<string, string>[] = [
  { TERM: "xterm-256color", COLORTERM: "truecolor" },
  { TMUX: "1" },
  { TERM: "xterm", TERM_PROGRAM: "iTerm.app", TERM_PROGRAM_VERSION: "3.1" },
  { TF_BUILD: "1", AGENT_NAME: "agent" },
  { TEAMCITY_VERSION: "9.1" },
  { NO_COLOR: "1" },
  { NODE_DISABLE_COLORS: "1" },
  { FORCE_COLOR: "1" },
  { TERM: "dumb" },
  { CI: "true" },
];
Deno.test("tasks-cli: every terminal gets the result, after a spinner without complaints", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "1000"]);
  using peer = await Peer.connect(server.port);
  for (const variables of TERMINALS) {
    const { task_id } = await peer.ask({ type: "run", task_name: "too_long_echo", data: "" }) as {
      task_id: number;
    };
    const env = { ...addressOf(server.port), ...variables };
    await using terminal = new Terminal("tasks-cli", ["run", "echo", "abc", "--wait"], env);
    const moves = "TERM" in variables ? variables.TERM !== "dumb" : !("CI" in variables);
    if (moves) await terminal.shows(/Task #\d+ waits, place 1/);
    const waiting = async () => (await peer.ask({ type: "stats" }) as { waiting: number }).waiting;
    await until(async () => await waiting() === 1, "the task is there, behind another");
    await peer.ask({ type: "cancel", task_id });
    assert.equal(await terminal.ended, 0, terminal.screen);
    assert.match(terminal.screen, /Result of task \[echo\]: abc\r\nStatus: success\r\n$/);
    assert.doesNotMatch(terminal.screen, /ERROR|permission|denied/i);
    assert.equal(/Task #\d+ (waits|is executing)/.test(terminal.screen), moves, JSON.stringify(variables));
    if (moves) cursorIsBack(terminal);
    if ("NO_COLOR" in variables) assert.doesNotMatch(terminal.screen, COLOR);
  }
});

Deno.test("tasks-cli: on a terminal what would steer it is shown, into a pipe goes what came", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
  const env = addressOf(server.port);
  const data = "a\x1b[2J\x9b1m\rb\nStatus: error \u202egnp.exe \u2067x \u2028 👨‍👩‍👧é\ud800";
  const shown = "a\\u001b[2J\\u009b1m\\rb\\nStatus: error \\u202egnp.exe \\u2067x \\u2028 👨‍👩‍👧é\\ud800";
  using peer = await Peer.connect(server.port);
  await peer.ask({ type: "run", task_name: "echo", data });
  await peer.ask({ type: "status", task_id: 1 });
  const argument = data.slice(0, -1); // half a character cannot be an argument
  const shownArgument = shown.slice(0, -"\\ud800".length);

  const onTerminal = async (args: string[], expected: string) => {
    await using terminal = new Terminal("tasks-cli", args, { ...env, TERM: "dumb" });
    assert.equal(await terminal.ended, 0);
    assert.equal(terminal.screen, expected.replaceAll("\n", "\r\n"), args.join(" "));
  };
  const result = `Result of task #1: ${shown}\nStatus: success\n`;
  await onTerminal(["res", "1"], result);
  await onTerminal(["wait", "1"], result);
  await onTerminal(
    ["run", "echo", argument, "--wait"],
    `Result of task [echo]: ${shownArgument}\nStatus: success\n`,
  );
  await onTerminal(["res", "1", "--json"], `{"status":"success","data":"${shown}"}\n`);

  const { stdout } = await runProgram("tasks-cli", ["res", "1"], { env });
  assert.equal(stdout, `Result of task #1: ${data.toWellFormed()}\nStatus: success\n`);
  const json = await runProgram("tasks-cli", ["res", "1", "--json"], { env });
  assert.equal(json.stdout, JSON.stringify({ status: "success", data }) + "\n");
});

Deno.test({
  ...unlessOlderRuntime(
    "tasks-cli: a reader that leaves early is no error",
    "the base runtime throws BrokenPipe",
  ),
  fn: async () => {
    await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
    for (const args of [["run", "echo", "x", "--wait"], ["ls"], ["--help"], ["completions", "bash"]]) {
      const { stderr, stdout } = await new Deno.Command("bash", {
        args: ["-c", '"$@" | true; echo "${PIPESTATUS[0]}"', "bash", ...commandOf("tasks-cli"), ...args],
        env: addressOf(server.port),
      }).output();
      assert.deepEqual([new TextDecoder().decode(stderr), new TextDecoder().decode(stdout)], ["", "0\n"]);
    }
  },
});

/** Runs it with pipes that nobody reads, writes to or closes, until its time is over. */
async function runsOut(args: string[], timeoutS: number, port: number): Promise<void> {
  const [command, ...rest] = commandOf("tasks-cli");
  await using child = new Deno.Command(command!, {
    args: [...rest, ...args, "--timeout", String(timeoutS)],
    env: addressOf(port),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { code } = await withDeadline(child.status, PATIENCE_MS, "it did not end");
  assert.equal(code, 5);
  assert.equal(
    await new Response(child.stderr).text(),
    `ERROR: not done within ${timeoutS} s; give it a longer --timeout\n`,
  );
  await child.stdout.cancel();
  await child.stdin.close().catch(() => {}); // nobody is there any more
}

Deno.test("tasks-cli: a reader that does not read holds it no longer than --timeout", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
  using peer = await Peer.connect(server.port);
  await peer.ask({ type: "run", task_name: "echo", data: "a".repeat(500_000) }); // more than a pipe takes
  await peer.ask({ type: "status", task_id: 1 });
  await runsOut(["res", "1"], 1, server.port);
});

Deno.test("tasks-cli: input that does not end holds it no longer than --timeout", async () => {
  await runsOut(["run", "echo", "-"], 0.3, 1); // nobody is asked before there is something to ask for
});

Deno.test("tasks-cli: output that cannot be written and input that cannot be read are errors of one line", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
  const shell = async (line: string) => {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", line, "bash", ...commandOf("tasks-cli")],
      env: addressOf(server.port),
    }).output();
    return [code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
  };
  const full =
    "ERROR: cannot write the answer: No space left on device; ask again, with another place for it\n";
  assert.deepEqual(await shell('"$@" ls > /dev/full'), [1, "", full]);
  assert.deepEqual(await shell('"$@" completions bash > /dev/full'), [1, "", full]);
  assert.deepEqual(await shell('"$@" run echo - < /'), [
    2,
    "",
    "ERROR: cannot read standard input: Is a directory; give a file or a pipe\n",
  ]);
});
