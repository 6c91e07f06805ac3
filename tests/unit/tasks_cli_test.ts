/** The parts of tasks-cli that need neither a server nor a terminal. */

import assert from "node:assert/strict";
import { DeadlineError } from "../../lib/service/clock.ts";
import { ProgramError } from "../../lib/service/errors.ts";
import { type CommonOptions, createTasksCli, type Invocation } from "../../lib/tasks/cli/command_line.ts";
import { serverFailure } from "../../lib/tasks/cli/failures.ts";
import { createFlagForm, isFlagForm } from "../../lib/tasks/cli/flag_form.ts";
import { readText } from "../../lib/tasks/cli/input.ts";
import { printable } from "../../lib/service/printable.ts";
import { listText } from "../../lib/tasks/cli/texts.ts";

const DEFAULTS: CommonOptions = { host: "h", port: 1, json: false, timeoutMs: undefined };

/** What a command line asks for, in whichever form it is; the server is always named, so that no variable counts. */
function parse(...args: string[]): Invocation | undefined {
  let result: Invocation | undefined;
  const create = isFlagForm(args) ? createFlagForm : createTasksCli;
  create((invocation) => result = invocation).parse(["--host", "h", "--port", "1", ...args], {
    from: "user",
  });
  return result;
}

Deno.test("createTasksCli: common options may stand before and after the command", () => {
  const expected: Invocation = {
    name: "server",
    command: { name: "res", taskId: 4, wait: true },
    options: { ...DEFAULTS, json: true, timeoutMs: 1500 },
  };
  assert.deepEqual(parse("--json", "--timeout", "1.5", "wait", "4"), expected);
  assert.deepEqual(parse("wait", "4", "--timeout=1.5", "--json"), expected);
});

Deno.test("createTasksCli: what follows -- is data, whatever it looks like", () => {
  for (const data of ["-x", "--wait", "-a", "--", "-"]) {
    assert.deepEqual(parse("run", "echo", "--", data), {
      name: "server",
      command: { name: "run", taskName: "echo", data, wait: false },
      options: DEFAULTS,
    });
  }
});

Deno.test("createFlagForm: both forms of a command line ask for the same", () => {
  const flags = parse("-a", "run", "-n", "echo", "-d", "x", "-w", "true");
  const words = parse("run", "echo", "x", "--wait");
  assert.ok(flags?.name === "server" && words?.name === "server");
  assert.deepEqual(flags.command, words.command);
  assert.deepEqual(flags.options, { ...words.options, bufferBytes: 1024 });
});

Deno.test("readText: characters may be split between chunks; the order mark and the last line end stay", async () => {
  const bytes = new TextEncoder().encode("\ufeffпривет 👋\n");
  for (let size = 1; size < 6; size++) {
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    assert.equal(await readText(ReadableStream.from(chunks)), "\ufeffпривет 👋\n");
  }
});

Deno.test("readText: a text that ends inside a character is refused", async () => {
  await assert.rejects(readText(ReadableStream.from([Uint8Array.of(0xd0)])), /not UTF-8/);
});

Deno.test("readText: an endless input is refused at the limit", async () => {
  async function* endless() {
    while (true) {
      yield new Uint8Array(1000);
      await Promise.resolve();
    }
  }
  await assert.rejects(
    readText(ReadableStream.from(endless()), { maxBytes: 10_000 }),
    /longer than 10000 bytes/,
  );
});

Deno.test("readText: a signal ends the wait for input that does not come", async () => {
  const controller = new AbortController();
  const silent = new ReadableStream<Uint8Array<ArrayBuffer>>();
  const reading = readText(silent, { signal: controller.signal });
  controller.abort(new Error("interrupted"));
  await assert.rejects(reading, /interrupted/);
});

Deno.test("serverFailure: says what to do; what is no failure of the server stays as it is", () => {
  const late = serverFailure(new DeadlineError("no connection within 10 s"), "h:1");
  assert.ok(late instanceof ProgramError);
  assert.deepEqual(
    [late.message, late.exitCode],
    ["h:1: no connection within 10 s; check --host and --port", 4],
  );
  const bug = new TypeError("x is not a function");
  assert.equal(serverFailure(bug, "h:1"), bug);
  assert.equal(serverFailure("SIGINT", "h:1"), "SIGINT");
});

Deno.test("listText: names from other clients neither forge lines nor move the cursor", () => {
  assert.equal(printable("a\n\x1b[2J\u202e\u2028\u0085é👋"), "a\\n\\u001b[2J\\u202e\\u2028\\u0085é👋");
  const tasks = [{ task_id: 1, task_name: "👋".repeat(50), status: "error" as const }];
  assert.equal(
    listText({ tasks, total: 12 }),
    `ID  TASK${" ".repeat(75)}  STATUS  PLACE\n#1  ${"👋".repeat(39)}…  error\n(1 of 12 tasks)`,
  );
});
