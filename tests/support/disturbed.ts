/** A program of its own for the test of disturbances: they are for all that descend from a process. */

import { Disturbance } from "../../tools/disturb.ts";
import { until } from "./wait.ts";

const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();

function states(): string[] {
  const { stdout } = new Deno.Command("ps", { args: ["-o", "stat=", "--ppid", String(Deno.pid)] })
    .outputSync();
  return new TextDecoder().decode(stdout).split("\n");
}

{
  await using _disturbance = new Disturbance({ loops: 2, stallMs: 60_000 });
  await until(
    () => states().filter((state) => state.startsWith("R")).length >= 3,
    "the loops run, and ps itself",
  );
  await until(() => states().some((state) => state.startsWith("T")), "a process stands still");
  console.log("disturbed");
}
console.log(states().some((state) => state.startsWith("T")) ? "one still stands still" : "all go on");
child.kill();
await child.status;
