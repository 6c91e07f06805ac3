/** `deno task fuzz`: hostile bytes against a tasks-server, while good clients check that they notice nothing. */

import { createProgram, flag, integer, seconds } from "../../lib/service/flags.ts";
import { runProgram } from "../../tools/run_program.ts";
import { fuzz } from "./run.ts";

interface Flags {
  seed: string;
  duration: number;
  hostile: number;
  good: number;
}

const CORPUS = new URL("./corpus/", import.meta.url);
const PROGRESS_EVERY = 10;

const program = createProgram(
  "fuzz",
  "Sends hostile bytes to a tasks-server beside clients that check every reply.",
)
  .addOption(
    flag("--seed <text>", "what is random; the same seed sends the same", {
      default: String(Date.now() % 100_000),
    }),
  )
  .addOption(
    flag("--duration <seconds>", "how long", {
      parse: seconds({ min: 1 }),
      default: 60_000,
      defaultText: "60",
    }),
  )
  .addOption(
    flag("--hostile <count>", "hostile connections at a time", { parse: integer({ min: 0 }), default: 128 }),
  )
  .addOption(flag("--good <count>", "good clients", { parse: integer({ min: 1 }), default: 2 }))
  .action(() => main(program.opts<Flags>()));

async function main({ seed, duration, hostile, good }: Flags): Promise<void> {
  console.log(`seed ${seed}`);
  let ticks = 0;
  const end = performance.now() + duration;
  const report = await fuzz({
    seed,
    isEnough: () => performance.now() > end,
    hostile,
    good,
    onProgress: ({ inputs, replies, memoryMiB }) => {
      if (++ticks % PROGRESS_EVERY === 0) {
        console.log(`${inputs} inputs, ${replies} replies checked, ${memoryMiB.now} MiB`);
      }
    },
  });
  const { inputs, bytes, replies, memoryMiB, failure, suspects } = report;
  console.log(`
inputs   ${inputs} hostile connections, ${(bytes / 1e6).toFixed(1)} MB
replies  ${replies} checked by good clients
memory   ${memoryMiB.start} MiB at the start, at most ${memoryMiB.most} MiB
failure  ${failure ?? "none"}`);
  if (failure === undefined) return;
  for (const [i, input] of suspects.entries()) {
    await Deno.writeFile(new URL(`suspect-${i}.bin`, CORPUS), input);
  }
  console.log(
    `the last ${suspects.length} inputs are in ${CORPUS.pathname}: keep those that make fuzz_test.ts fail`,
  );
  Deno.exit(1);
}

await runProgram(program);
