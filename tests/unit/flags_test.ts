/** Flags: their bounds, which are themselves allowed, and help. */

import assert from "node:assert/strict";
import { CommanderError } from "commander";
import { createProgram, flag, integer, port, seconds } from "../../lib/service/flags.ts";

Deno.test("integer, port: both bounds are taken, and nothing beyond them", () => {
  const parse = integer({ min: 1, max: 10 });
  assert.deepEqual(["1", "10"].map(parse), [1, 10]);
  for (const text of ["0", "11", "", " 1", "1.5", "1e1", "-1", "0x1", "١"]) {
    assert.throws(() => parse(text), /Give a whole number from 1 to 10\./, JSON.stringify(text));
  }
  assert.deepEqual(["0", "65535"].map(port), [0, 65_535]);
  assert.throws(() => port("65536"), /from 0 to 65535/);
  assert.throws(() => integer({ min: 1 })("0"), /1 or more/);
});

Deno.test("seconds: both bounds are taken, fractions too, and nothing beyond them", () => {
  const parse = seconds({ min: 1, max: 60 });
  assert.deepEqual(["1", "1.0005", "60"].map(parse), [1000, 1001, 60_000]);
  for (const text of ["0.999", "60.001", "", "1.", ".5", "1e1", "-1", "Infinity"]) {
    assert.throws(
      () => parse(text),
      /Give a number of seconds, 1 or more, at most 60\./,
      JSON.stringify(text),
    );
  }
});

Deno.test("--help: is given also where a variable holds nonsense, of the command that is named; data is no flag", async () => {
  const seen: string[] = [];
  const program = createProgram("program", "Does it.")
    .addOption(flag("--port <port>", "where", { env: "SOLO_TEST_PORT", parse: integer({ min: 1 }) }))
    .configureOutput({ writeOut: (text) => void seen.push(text), writeErr: (text) => void seen.push(text) });
  program.command("run").alias("do").argument("<data>").option("--wait", "waits")
    .configureOutput({ writeOut: (text) => void seen.push(text) })
    .action((data) => void seen.push(`runs ${data}`));
  const say = async (...args: string[]) => {
    seen.length = 0;
    await program.parseAsync(args, { from: "user" }).catch((error) =>
      assert.ok(error instanceof CommanderError)
    );
    return seen.join("");
  };
  Deno.env.set("SOLO_TEST_PORT", "nonsense");
  try {
    assert.match(await say("--help"), /^Usage: program /);
    for (const name of ["run", "do"]) {
      assert.match(await say(name, "--wait", "--help"), /^Usage: program run/);
    }
    for (const args of [[], ["run", "x"], ["run", "--", "--help"], ["run", "--wait", "--", "--help"]]) {
      assert.match(await say(...args), /'nonsense' from env 'SOLO_TEST_PORT' is invalid/, args.join(" "));
    }
  } finally {
    Deno.env.delete("SOLO_TEST_PORT");
  }
  assert.equal(await say("run", "--wait", "--", "--help"), "runs --help");
});
