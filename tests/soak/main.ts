/** `deno task soak`: many connections, constant churn and a stream of tasks; fails when anything grows. */

import { createProgram, flag, integer, seconds } from "../../lib/service/flags.ts";
import { runProgram } from "../../tools/run_program.ts";
import { type Sample, soak } from "./run.ts";

interface Flags {
  seed: string;
  duration: number;
  connections: number;
  servers: number;
  replaced: number;
  dropped: number;
  tasks: number;
}

const SAMPLE_MS = 10_000;

const count = (flags: string, description: string, value: number) =>
  flag(flags, description, { parse: integer({ min: 1 }), default: value });

const program = createProgram(
  "soak",
  "Holds a load for long and fails when memory, descriptors or keys grow.",
)
  .addOption(flag("--seed <text>", "what is random", { default: "1" }))
  .addOption(
    flag("--duration <seconds>", "how long, once everyone is connected", {
      parse: seconds({ min: 60 }),
      default: 600_000,
      defaultText: "600",
    }),
  )
  .addOption(count("--connections <count>", "connections at a time", 15_000))
  .addOption(count("--servers <count>", "ws-servers", 2))
  .addOption(count("--replaced <count>", "clients that come again each second", 50))
  .addOption(count("--dropped <count>", "connections dropped each second", 50))
  .addOption(count("--tasks <count>", "tasks a second", 100))
  .action(() => main(program.opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  const { samples, failures } = await soak({
    seed: flags.seed,
    durationMs: flags.duration,
    connections: flags.connections,
    servers: flags.servers,
    replacedPerS: flags.replaced,
    droppedPerS: flags.dropped,
    tasksPerS: flags.tasks,
    sampleMs: SAMPLE_MS,
    onSample: (sample) => console.log(line(sample)),
  });
  const [first, last] = [samples[0], samples.at(-1)];
  if (first && last) console.log(`\nfirst  ${line(first)}\nlast   ${line(last)}`);
  for (const failure of failures) console.log(`FAILED ${failure}`);
  if (failures.length > 0) Deno.exit(1);
  console.log("nothing grows");
}

function line({ atS, established, memoryMiB, descriptors, loopDelayMs, redis, load, tasks }: Sample): string {
  return `${atS} s: ${established} established; memory ${memoryMiB.join(" + ")} MiB; descriptors ${
    descriptors.join(" + ")
  }; event loop at most ${
    loopDelayMs.join(", ")
  } ms late; Redis ${redis.sessions} sessions, ${redis.keys} keys, ${redis.memoryMiB} MiB; ` +
    `${load.replaced} replaced, ${load.dropped} dropped, ${tasks} tasks`;
}

await runProgram(program);
