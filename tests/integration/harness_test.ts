/** What a newcomer sees of a test that fails. */

import assert from "node:assert/strict";
import { resultOf } from "../../tools/test_output.ts";
import { Subprocess } from "../support/subprocess.ts";
import { PATIENCE_MS } from "../support/wait.ts";

Deno.test("harness: a test that hangs is ended, and a report says what was expected, the seed, and what programs said", async () => {
  let [report, hangsForMs] = ["", 500];
  while (!report.includes("hello") && hangsForMs < PATIENCE_MS) { // on a busy machine a shell may need longer for a word
    hangsForMs *= 2;
    report = await reportOfFailing(hangsForMs);
  }
  assert.match(report, /1 passed \| 3 failed/);
  const place = "\\n\\nthe test begins at \\S*failing\\.ts:\\d+:6\\n\\nshell \\(\\d+\\) said:\\n {2}";
  assert.match(report, new RegExp(`the test did not end within ${hangsForMs} ms${place}hello\n`));
  assert.match(
    report,
    new RegExp(`seed 7: Expected values to be strictly equal:\n\n2 !== 3\n*${place}goodbye\n`),
  );
  assert.match(
    report,
    /in words of its own\nexpected: match \/expected\/\nseen: seen\n\nshell \(\d+\) said:\n {2}farewell\n/,
  );
  assert.doesNotMatch(report, /quiet/);
});

Deno.test("tools/test.ts: what is repeated of failures at the end says why, and names all of them", async () => {
  const { passed, failed, report } = resultOf(await reportOfFailing(1), false);
  assert.deepEqual({ passed, failed }, { passed: 1, failed: 3 });
  assert.match(report, /^hangs => .+\nerror: /);
  const names = ["hangs => .+", "fails => .+", "fails in words of its own ... in a step => .+"];
  assert.match(report, new RegExp(`2 !== 3\n[^]*\n FAILURES \n\n${names.join("\n")}$`));
});

Deno.test("tools/test.ts: of long reports the first words are repeated, and all names", () => {
  const errors = "\n ERRORS \n\nthe first => a.ts\nerror: why\n" + "more\n".repeat(10_000);
  const failures = "\n FAILURES \n\nthe first => a.ts\n\nFAILED | 5 passed (1 step) | 1 failed (1s)\n";
  const { report } = resultOf(errors + failures, false);
  assert.match(
    report,
    /^the first => a\.ts\nerror: why\nmore\n[^]*…\n\n\(\d+ more characters stand above\)\n\n FAILURES \n\nthe first => a\.ts$/,
  );
  assert.ok(report.length < 6_000);
});

Deno.test("tools/test.ts: a run that crashed has failed, and its last words are the report", () => {
  assert.deepEqual(resultOf("a => ok\nSegmentation fault\n", false), {
    passed: 0,
    failed: 1,
    report: "a => ok\nSegmentation fault",
  });
});

async function reportOfFailing(hangsForMs: number): Promise<string> {
  await using deno = new Subprocess("deno", [
    ...[Deno.execPath(), "test", "-q", "--no-check", "-P=tests"],
    ...["--preload=tests/support/harness.ts", "tests/support/failing.ts"],
  ], { env: { ...Deno.env.toObject(), NO_COLOR: "1", HANGS_FOR_MS: String(hangsForMs) } });
  assert.equal(await deno.end(), 1);
  return deno.text.stdout;
}
