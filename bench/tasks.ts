/**
 * How fast tasks-server is, and what one client can do to the others.
 *
 * The server is a process of its own, started as its users start it; this process is its clients. Both share the machine.
 *
 * deno task bench:tasks                                       everything, some two minutes
 * deno task bench:tasks throughput --against ../before        only this part, beside another checkout in the same run
 */

import { Argument } from "commander";
import { createProgram, flag, seconds } from "../lib/service/flags.ts";
import { runProgram } from "../tools/run_program.ts";
import type { BenchOptions } from "./support/bench_options.ts";
import { benchAttacks } from "./tasks_attacks.ts";
import { benchMemory } from "./tasks_memory.ts";
import { benchThroughput } from "./tasks_throughput.ts";
import { benchWaits } from "./tasks_waits.ts";

const PARTS: Record<string, (options: BenchOptions) => Promise<void>> = {
  throughput: benchThroughput,
  waits: benchWaits,
  attacks: benchAttacks,
  memory: benchMemory,
};

interface Flags {
  against?: string;
  seconds: number;
}

const program = createProgram("bench", "How fast tasks-server is, and what one client can do to the others.")
  .addArgument(new Argument("[parts...]", "which of them").choices(Object.keys(PARTS)))
  .addOption(flag("--against <folder>", "another checkout whose server is measured in the same run"))
  .addOption(
    flag("--seconds <seconds>", "how long each row is measured", {
      parse: seconds({ min: 0.1 }),
      default: 4_000,
      defaultText: "4",
    }),
  )
  .action(async (parts: string[]) => {
    const { against, seconds } = program.opts<Flags>();
    for (const part of parts.length > 0 ? parts : Object.keys(PARTS)) {
      await PARTS[part]!({ ms: seconds, against: against === undefined ? undefined : commandOf(against) });
    }
  });

/** The command that starts the server of a checkout. */
function commandOf(folder: string): string[] {
  const permissions = ["--config", `${folder}/deno.json`, "-P=tasks-server"];
  return [Deno.execPath(), "run", "-q", "--no-prompt", ...permissions, `${folder}/main_tasks.ts`];
}

await runProgram(program);
