/** What a newcomer sees of a test that fails. */

import assert from "node:assert/strict";
import { Subprocess } from "../support/subprocess.ts";

Deno.test("harness: a test that hangs is ended, and a report says what was expected, the seed, and what programs said", async () => {
  await using deno = new Subprocess("deno", [
    ...[Deno.execPath(), "test", "-q", "--no-check", "-P=tests"],
    ...["--preload=tests/support/harness.ts", "tests/support/failing.ts"],
  ], { env: { ...Deno.env.toObject(), NO_COLOR: "1" } });
  assert.equal(await deno.end(), 1);
  const report = deno.text.stdout;
  assert.match(report, /1 passed \| 2 failed/);
  assert.match(
    report,
    /the test at \S*failing\.ts:\d+:6 did not end within 1000 ms\n\nshell \(\d+\) said:\n {2}hello\n/,
  );
  assert.match(
    report,
    /seed 7: Expected values to be strictly equal:\n\n2 !== 3\n\n+shell \(\d+\) said:\n {2}goodbye\n/,
  );
  assert.doesNotMatch(report, /quiet/);
});
