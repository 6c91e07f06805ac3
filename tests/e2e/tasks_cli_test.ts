/** tasks-cli against a real server: what it prints, to the letter, and how it exits. */

import assert from "node:assert/strict";
import { VERSION } from "../../lib/service/version.ts";
import { runProgram, type Server, startServer, unlessOlderRuntime } from "../support/program.ts";
import { startScriptedServer } from "../support/scripted_server.ts";
import { until } from "../support/wait.ts";

/** What a run of the program comes to; what is not named is to be empty, the exit code 0. */
interface Expected {
  stdout?: string;
  stderr?: string;
  code?: number;
}

type Cli = (args: string[], stdin?: string | Uint8Array) => Promise<Expected>;

/** Runs tasks-cli for a server on this port. */
function cliOf(port: number): Cli {
  return (args, stdin) => runProgram("tasks-cli", args, { stdin, env: addressOf(port) });
}

function addressOf(port: number): Record<string, string> {
  return { TASKS_HOST: "127.0.0.1", TASKS_PORT: String(port) };
}

function startFast(...args: string[]): Promise<Server> {
  return startServer("tasks-server", ["--delay-factor", "0", ...args]);
}

async function check(
  cli: Cli,
  args: string[],
  expected: Expected,
  stdin?: string | Uint8Array,
): Promise<void> {
  assert.deepEqual(await cli(args, stdin), { stdout: "", stderr: "", code: 0, ...expected }, args.join(" "));
}

async function executing(cli: Cli, id: number): Promise<void> {
  await until(
    async () => (await cli(["st", String(id)])).stdout!.includes("execute"),
    `task #${id} executes`,
  );
}

/** Where no server is. */
const nowhere: Cli = cliOf(1);

Deno.test("tasks-cli: run, st, res, wait, ls and cancel print what they are to print", async () => {
  await using server = await startFast();
  const cli = cliOf(server.port);
  await check(cli, ["ls"], { stdout: "ID  TASK  STATUS  PLACE\n" });
  await check(cli, ["run", "revers", "hello"], {
    stdout: "Task [revers] added to the queue. Task id is #1\n",
  });
  await check(cli, ["wait", "1"], { stdout: "Result of task #1: olleh\nStatus: success\n" });
  await check(cli, ["st", "1"], { stdout: "Status of task #1: success\n" });
  await check(cli, ["res", "1"], { stdout: "Result of task #1: olleh\nStatus: success\n" });
  await check(cli, ["res", "#1"], { stdout: "Result of task #1: olleh\nStatus: success\n" });
  await check(cli, ["run", "permutation", "пример", "--wait"], {
    stdout: "Result of task [permutation]: рпмире\nStatus: success\n",
  });
  await check(cli, ["cancel", "2"], { stdout: "Task #2 had already ended: success\n" });
  await check(cli, ["ls"], {
    stdout: "ID  TASK         STATUS   PLACE\n#1  revers       success\n#2  permutation  success\n",
  });
});

Deno.test("tasks-cli: the form where flags say everything", async () => {
  await using server = await startFast();
  const cli: Cli = (args) =>
    runProgram("tasks-cli", ["--host", "127.0.0.1", "--port", String(server.port), ...args]);
  await check(cli, "--action run --task_name revers --data hello --waiting_for_data true".split(" "), {
    stdout: "Result of task [revers]: olleh\nStatus: success\n",
  });
  await check(cli, ["--action", "run", "--task_name", "revers", "--data", "предложение из нескольких слов"], {
    stdout: "Task [revers] added to the queue. Task id is #2\n",
  });
  await check(cli, ["-a", "res", "-d", "2", "-w", "true"], {
    stdout: "Result of task #2: волс хикьлоксен зи еинежолдерп\nStatus: success\n",
  });
  await check(cli, ["--action", "st", "--data", "2"], { stdout: "Status of task #2: success\n" });
  await check(cli, ["--action", "res", "--data", "2", "-r", "1"], {
    stdout: "Result of task #2: волс хикьлоксен зи еинежолдерп\nStatus: success\n",
  });
  await check(cli, ["-a", "st", "-d", "2", "-w", "--json"], { stdout: '{"status":"success"}\n' });
  await check(cli, ["-a", "run", "-n", "echo", "-d", "-x", "-w"], {
    stdout: "Result of task [echo]: -x\nStatus: success\n",
  });
});

Deno.test("tasks-cli: a task that executes, one that waits, and both cancelled", async () => {
  await using server = await startServer("tasks-server", ["--delay-factor", "1000"]); // it executes until it is cancelled
  const cli = cliOf(server.port);
  await check(cli, ["run", "too_long_echo", "a"], {
    stdout: "Task [too_long_echo] added to the queue. Task id is #1\n",
  });
  await executing(cli, 1);
  await check(cli, ["run", "echo", "b"], { stdout: "Task [echo] added to the queue. Task id is #2\n" });
  await check(cli, ["st", "1"], { stdout: "Status of task #1: execute\n" });
  await check(cli, ["res", "2"], { stdout: "Result of task #2: none yet\nStatus: waiting\n" });
  await check(cli, ["ls"], {
    stdout: "ID  TASK           STATUS   PLACE\n#1  too_long_echo  execute\n#2  echo           waiting  1\n",
  });
  for (let timeoutS = 0.3;; timeoutS *= 2) {
    const output = await cli(["wait", "1", "--timeout", String(timeoutS)]);
    if (/give it a longer/.test(output.stderr!) && timeoutS < 60) continue; // on a busy machine nobody was asked in this time
    assert.deepEqual(output, {
      stdout: "",
      stderr: `ERROR: not done within ${timeoutS} s; task #1 goes on; for its result: tasks-cli wait 1\n`,
      code: 5,
    });
    break;
  }
  await check(cli, ["cancel", "2"], { stdout: "Task #2 cancelled\n" });
  await check(cli, ["st", "2"], {
    stdout: "Status of task #2: error\n",
    stderr: "ERROR: task #2 ended in error; for the reason: tasks-cli res 2\n",
    code: 1,
  });
  const waiting = check(cli, ["wait", "1"], {
    stdout: "Result of task #1: none\nStatus: error\n",
    stderr: "ERROR: task #1 ended in error: cancelled\n",
    code: 1,
  });
  await Promise.all([waiting, check(cli, ["cancel", "1"], { stdout: "Task #1 cancelled\n" })]);
});

Deno.test("tasks-cli: --json prints the server's answer as one line", async () => {
  await using server = await startFast();
  const cli = cliOf(server.port);
  await check(cli, ["--json", "run", "echo", "a\nb"], { stdout: '{"task_id":1}\n' });
  await check(cli, ["wait", "1", "--json"], { stdout: '{"status":"success","data":"a\\nb"}\n' });
  await check(cli, ["run", "echo", "", "--wait", "--json"], { stdout: '{"status":"success","data":""}\n' });
  await check(cli, ["st", "1", "--json"], { stdout: '{"status":"success"}\n' });
  await check(cli, ["cancel", "1", "--json"], { stdout: '{"cancelled":false,"status":"success"}\n' });
  await check(cli, ["ls", "--json"], {
    stdout: '{"tasks":[{"task_id":1,"task_name":"echo","status":"success"},' +
      '{"task_id":2,"task_name":"echo","status":"success"}],"total":2}\n',
  });
  const { stdout } = await cli(["stats", "--json"]);
  assert.equal(JSON.parse(stdout!).succeeded, 2);
});

Deno.test("tasks-cli: data of every kind arrives as it is", async () => {
  await using server = await startFast();
  const cli = cliOf(server.port);
  const echoed = (data: string) => ({ stdout: `Result of task [echo]: ${data}\nStatus: success\n` });
  await check(cli, ["run", "echo", "", "--wait"], echoed(""));
  await check(cli, ["run", "echo", "--wait", "--", "-x"], echoed("-x"));
  await check(cli, ["run", "echo", "%s é👨‍👩‍👧 \\", "--wait"], echoed("%s é👨‍👩‍👧 \\"));
  await check(cli, ["run", "echo", "-", "--wait"], echoed("две\nстроки\n"), "две\nстроки\n");
  await check(cli, ["run", "echo", "-", "--wait"], echoed(""), "");
  const large = "ы".repeat(500_000);
  await check(cli, ["run", "echo", "-", "--wait"], echoed(large), large);
  await check(cli, ["run", "echo", "-", "--wait"], {
    stderr: `ERROR: 127.0.0.1:${server.port} does not take a task with so much data; give it less, ` +
      "or start the server with a larger --max-request-bytes\n",
    code: 2,
  }, "ы".repeat(1_000_000));
  await check(cli, ["run", "echo", "-", "--wait"], {
    stderr: "ERROR: standard input is not UTF-8 text; convert it first, with iconv for example\n",
    code: 2,
  }, Uint8Array.of(0x61, 0xff));
});

Deno.test("tasks-cli: a task the server does not know ends in error, with a suggestion", async () => {
  await using server = await startFast();
  const cli = cliOf(server.port);
  const known = "echo, revers, permutation, too_long_echo";
  await check(cli, ["run", "reverse", "x"], {
    stdout: "Task [reverse] added to the queue. Task id is #1\n",
    stderr:
      `ERROR: task #1 ended in error: no task is named "reverse"; there are ${known} (Did you mean revers?)\n`,
    code: 1,
  });
  await check(cli, ["run", "translate", "x", "--wait"], {
    stdout: "Result of task [translate]: none\nStatus: error\n",
    stderr: `ERROR: task #2 ended in error: no task is named "translate"; there are ${known}\n`,
    code: 1,
  });
});

Deno.test("tasks-cli: a full queue is an error that leaves no task behind", async () => {
  await using server = await startServer("tasks-server", ["--queue-limit", "1", "--delay-factor", "1000"]);
  const cli = cliOf(server.port);
  await cli(["run", "too_long_echo", "executes"]);
  await executing(cli, 1);
  await cli(["run", "too_long_echo", "waits"]);
  const stderr = `ERROR: 127.0.0.1:${server.port} did not take the task: queue is full; try again later\n`;
  await check(cli, ["run", "echo", "x"], { stderr, code: 1 });
  await check(cli, ["run", "echo", "x", "--wait", "--json"], {
    stdout: '{"error":"queue is full"}\n',
    stderr,
    code: 1,
  });
});

Deno.test("tasks-cli: no such task exits 3", async () => {
  await using server = await startFast();
  const cli = cliOf(server.port);
  const stderr = `ERROR: 127.0.0.1:${server.port} knows no task #99; for those it knows: tasks-cli ls\n`;
  for (const command of ["st", "res", "wait", "cancel"]) {
    await check(cli, [command, "99"], { stderr, code: 3 });
  }
});

Deno.test("tasks-cli: a server that has too many clients is not taken for one that knows no such task", async () => {
  await using server = await startFast("--max-connections", "1");
  using _guest = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await check(cliOf(server.port), ["st", "99"], {
    stderr: `ERROR: 127.0.0.1:${server.port} closed the connection without an answer; it may be stopping, ` +
      "have too many clients, or be no tasks-server: try again, or check --host and --port\n",
    code: 4,
  });
});

Deno.test("tasks-cli: a server that goes away during a wait exits 4", async () => {
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.says('{"status":"execute"}\n');
    await peer.hears();
  });
  await check(cliOf(server.port), ["wait", "7"], {
    stderr: `ERROR: 127.0.0.1:${server.port} closed the connection before task #7 ended; ` +
      "if it still runs: tasks-cli wait 7\n",
    code: 4,
  });
});

Deno.test("tasks-cli: a server that cannot be reached or speaks otherwise exits 4", async (t) => {
  await check(nowhere, ["st", "1"], {
    stderr: "ERROR: nothing listens on 127.0.0.1:1; start the server (tasks-server, or: deno task start), " +
      "or say where it is with --host and --port\n",
    code: 4,
  });
  await t.step({
    ...unlessOlderRuntime("no host name", "the base runtime has other words for it"),
    fn: () =>
      check(nowhere, ["--host", "no host", "ls"], {
        stderr: "ERROR: cannot reach no host:1: invalid host 'no host': invalid char found in FQDN; " +
          "check --host and --port\n",
        code: 4,
      }),
  });
  const { stderr, code } = await nowhere(["--host", "nowhere.invalid", "ls"]);
  assert.match(stderr!, /^ERROR: cannot reach nowhere\.invalid:1: .*lookup.*; check --host and --port\n$/);
  assert.equal(code, 4);

  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.says("HTTP/1.1 400 Bad Request\r\n\r\n");
    await peer.leaves();
  });
  await check(cliOf(server.port), ["run", "echo", "x"], {
    stderr: `ERROR: 127.0.0.1:${server.port} does not speak the protocol of tasks (no JSON object); ` +
      "check --host and --port\n",
    code: 4,
  });
});

Deno.test("tasks-cli: --timeout bounds everything, a silent server too", async () => {
  await using server = startScriptedServer((peer) => peer.leaves());
  await check(cliOf(server.port), ["ls", "--timeout", "0.2"], {
    stderr: "ERROR: not done within 0.2 s; give it a longer --timeout\n",
    code: 5,
  });
});

const WRONG_USAGE: [string[], string][] = [
  [["rn", "echo", "x"], "unknown command 'rn' (Did you mean run?)"],
  [["run", "echo", "x", "--wiat"], "unknown option '--wiat' (Did you mean --wait?)"],
  [["run", "echo"], "missing required argument 'data'"],
  [
    ["run", "echo", "two", "words"],
    "too many arguments for 'run'. Expected 2 arguments but got 3: echo, two, words",
  ],
  [
    ["st", "four"],
    "command-argument value 'four' is invalid for argument 'id'. Give a whole number 1 or more",
  ],
  [
    ["ls", "--port", "70000"],
    "option '--port <port>' argument '70000' is invalid. Give a whole number from 1 to 65535",
  ],
  [
    ["completions", "tcsh"],
    "command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish",
  ],
  [
    ["--action", "rum", "-d", "x"],
    "option '-a, --action <action>' argument 'rum' is invalid. Allowed choices are run, st, res",
  ],
  [["-n", "echo", "-d", "x"], "required option '-a, --action <action>' not specified"],
  [["-a", "st"], "--action st needs --data: the task's id"],
  [["-a", "st", "-d", "four"], "--data 'four' is no task id. Give a whole number 1 or more"],
  [
    ["-a", "run", "-d", "x"],
    "--action run needs --task_name: one of echo, revers, permutation, too_long_echo",
  ],
  [
    ["-a", "st", "-d", "1", "-w", "maybe"],
    "option '-w, --waiting_for_data [bool]' argument 'maybe' is invalid. Give true or false",
  ],
];
for (const [args, message] of WRONG_USAGE) {
  Deno.test(`tasks-cli: ${args.join(" ")} is wrong usage`, async () => {
    await check(nowhere, args, { stderr: `ERROR: ${message}; see tasks-cli --help\n`, code: 2 });
  });
}

Deno.test("tasks-cli: without a command it prints its help and exits 2, with --help it exits 0", async () => {
  const { stdout, ...rest } = await nowhere(["--help"]);
  assert.deepEqual(rest, { stderr: "", code: 0 });
  assert.match(stdout!, /^Usage: tasks-cli \[options\] <command>\n/);
  await check(nowhere, [], { stderr: stdout, code: 2 });
  await check(nowhere, ["--version"], { stdout: `${VERSION}\n` });
});
