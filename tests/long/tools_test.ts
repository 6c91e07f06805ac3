/** The tools that `deno task` runs: help, and what they say to a command line that makes no sense. */

import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

async function run(path: string, args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=tests", path, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const TOOLS = [
  "bench/sessions.ts",
  "bench/tasks.ts",
  "tests/chaos/main.ts",
  "tests/fuzz/main.ts",
  "tests/simulation/main.ts",
  "tests/soak/main.ts",
  "tools/cluster.ts",
  "tools/start.ts",
  "tools/test.ts",
];
for (const tool of TOOLS) {
  Deno.test(`${tool}: --help prints help, an unknown flag is an error of one line`, async () => {
    const help = await run(tool, ["--help"]);
    assert.match(help.stdout, /^Usage: /);
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    const wrong = await run(tool, ["--nix"]);
    assert.match(wrong.stderr, /^ERROR: unknown option '--nix'; see \S+ --help\n$/);
    assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  });
}

const WRONG_USAGE: [string, string[]][] = [
  ["bench/sessions.ts", ["nix"]],
  ["bench/sessions.ts", ["redis", "--against", "/no/such/folder"]],
  ["tests/simulation/main.ts", ["--trace", "--seeds", "1-2"]],
  ["tests/simulation/main.ts", ["--faults", "toString"]],
  ["tests/simulation/main.ts", ["--seeds", "99999999999999999999"]],
  ["tools/prerequisites.ts", ["nix"]],
];
for (const [tool, args] of WRONG_USAGE) {
  Deno.test(`${tool}: ${args.join(" ")} is an error of one line`, async () => {
    const { code, stdout, stderr } = await run(tool, args);
    assert.match(stderr, /^ERROR: .+\n$/);
    assert.deepEqual([code, stdout], [2, ""]);
  });
}

Deno.test("tools/disturb.ts: loops run, processes stand still, and in the end all is as before", async () => {
  const { code, stdout, stderr } = await run("tests/support/disturbed.ts", []);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "disturbed\nall go on\n", stderr: "" });
});
