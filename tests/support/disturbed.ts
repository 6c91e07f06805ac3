/** A program of its own for the test of disturbances: they are for all that descend from a process. */

import { Disturbance } from "../../tools/disturb.ts";
import { childStates } from "./process.ts";
import { until } from "./wait.ts";

const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();

async function count(state: string): Promise<number> {
  return (await childStates(Deno.pid)).filter((seen) => seen.startsWith(state)).length;
}

{
  await using _disturbance = new Disturbance({ loops: 2, stallMs: 60_000 });
  await until(async () => await count("R") >= 3, "the loops run, and ps itself");
  await until(async () => await count("T") > 0, "a process stands still");
  console.log("disturbed");
}
console.log(await count("T") > 0 ? "one still stands still" : "all go on");
child.kill();
await child.status;
