/** What a newcomer sees of a test that fails. */

import assert from "node:assert/strict";
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

async function reportOfFailing(hangsForMs: number): Promise<string> {
  await using deno = new Subprocess("deno", [
    ...[Deno.execPath(), "test", "-q", "--no-check", "-P=tests"],
    ...["--preload=tests/support/harness.ts", "tests/support/failing.ts"],
  ], { env: { ...Deno.env.toObject(), NO_COLOR: "1", HANGS_FOR_MS: String(hangsForMs) } });
  assert.equal(await deno.end(), 1);
  return deno.text.stdout;
}
