/** Tests that fail, for the test of the harness. */

import assert from "node:assert/strict";
import { useSeed } from "./seed.ts";
import { Subprocess } from "./subprocess.ts";

const shell = (script: string) => new Subprocess("shell", ["sh", "-c", script]);

Deno.test("hangs", { timeout: Number(Deno.env.get("HANGS_FOR_MS")) }, async () => {
  await using program = shell("echo hello; exec sleep 1000");
  await program.line(/never said/);
});

Deno.test("fails", async () => {
  useSeed("7");
  await using program = shell("echo goodbye");
  await program.end();
  assert.equal(1 + 1, 3);
});

Deno.test("fails in words of its own", async (t) => {
  await t.step("in a step", async () => {
    await using program = shell("echo farewell");
    await program.end();
    assert.match("seen", /expected/, "in words of its own");
  });
});

Deno.test("succeeds", async () => {
  await using program = shell("echo quiet");
  await program.end();
});
