/** `deno task simulate`: schedules by their seeds, and whether the cluster kept its promises in each. */

import { InvalidArgumentError } from "commander";
import { createProgram, flag, integer } from "../../lib/service/flags.ts";
import { runProgram } from "../../tools/run_program.ts";
import { MUTANTS } from "./mutants.ts";
import { FAULTS, type FaultSet } from "./plan.ts";
import { simulate } from "./schedule.ts";
import type { Delivery, Order } from "./worker.ts";

interface Flags {
  seeds: { first: number; last: number };
  faults: FaultSet[];
  mutant?: string;
  jobs: number;
  trace?: boolean;
}

/** How often it says how far it is, in schedules. */
const REPORT_EVERY = 500;

/** So many violations of a schedule are shown. */
const SHOWN = 3;

const program = createProgram(
  "simulate",
  "Simulates clusters of processes with a Redis and all that may go wrong, and checks what they promise.",
)
  .addOption(
    flag("--seeds <first-last>", "which schedules, or a single one", {
      parse: seeds,
      default: { first: 1, last: 1000 },
      defaultText: "1-1000",
    }),
  )
  .addOption(
    flag("--faults <sets>", `what goes wrong, with commas between: ${Object.keys(FAULTS).join(", ")}`, {
      parse: faults,
      default: ["default", "operator"],
      defaultText: "default,operator",
    }),
  )
  .addOption(flag("--mutant <name>", "break the cluster on purpose").choices(Object.keys(MUTANTS)))
  .addOption(flag("--jobs <count>", "how many at a time", { parse: integer({ min: 1 }), default: 1 }))
  .addOption(flag("--trace", "print everything that happens, of a single schedule"))
  .action(() => main(program.opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  if (flags.trace) return await trace(flags);
  const startedAtMs = performance.now();
  const sum = {
    schedules: 0,
    violated: 0,
    events: 0,
    faults: 0,
    claimed: 0,
    established: 0,
    replaced: 0,
    ended: 0,
  };
  for await (const delivery of deliveries(flags)) {
    sum.schedules++;
    sum.events += delivery.events;
    sum.faults += delivery.faults;
    sum.claimed += delivery.counts.claimed;
    sum.established += delivery.counts.established;
    sum.replaced += delivery.counts.replaced;
    sum.ended += delivery.counts.ended;
    if (delivery.violations.length > 0) sum.violated++;
    if (delivery.violations.length > 0 || flags.seeds.first === flags.seeds.last) report(delivery);
    if (sum.schedules % REPORT_EVERY === 0) {
      console.log(`${sum.schedules} schedules, ${sum.violated} with violations`);
    }
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  console.log(`
schedules    ${sum.schedules}
events       ${sum.events}
faults       ${sum.faults}
claims       ${sum.claimed}, ${sum.established} established, ${sum.replaced} replaced, ${sum.ended} ended by operators
time         ${seconds.toFixed(0)} s
violations   in ${sum.violated} schedules`);
  if (sum.violated > 0) Deno.exit(1);
}

/** Everything that happens, for who wants to understand a violation. */
async function trace({ seeds: { first, last }, faults, mutant }: Flags): Promise<void> {
  if (first !== last) program.error("--trace wants a single seed: --seeds 7 --trace");
  const options = { seed: String(first), faults, mutant: mutant ? MUTANTS[mutant] : undefined, trace: true };
  const { plan, trace, violations } = await simulate(options);
  console.log(`${plan}\n${trace.join("\n")}`);
  console.log(`violations   ${violations.length}`);
}

/** What came of each schedule, as soon as it is known. */
async function* deliveries(
  { seeds: { first, last }, faults, mutant, jobs }: Flags,
): AsyncGenerator<Delivery> {
  const workers = Array.from({ length: jobs }, () => {
    return new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  });
  const answer = (worker: Worker) =>
    new Promise<[Worker, Delivery | "ready"]>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Delivery | "ready">) => resolve([worker, data]);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
  const pending = new Map(workers.map((worker) => [worker, answer(worker)]));
  for (let next = first; pending.size > 0;) {
    const [worker, data] = await Promise.race(pending.values());
    pending.delete(worker);
    if (next <= last) {
      pending.set(worker, answer(worker));
      worker.postMessage({ seed: String(next++), faults, mutant } satisfies Order);
    }
    if (data !== "ready") yield data;
  }
  for (const worker of workers) worker.terminate();
}

function report({ violations, plan }: Delivery): void {
  console.log(plan);
  for (const { promise, atMs, text } of violations.slice(0, SHOWN)) {
    console.log(`  ${atMs.toFixed(1)} ms  promise ${promise}: ${text}`);
  }
  if (violations.length > SHOWN) console.log(`  and ${violations.length - SHOWN} more`);
}

function seeds(text: string): Flags["seeds"] {
  const [, from, to = from] = text.match(/^(\d+)(?:-(\d+))?$/) ?? [];
  const [first, last] = [Number(from), Number(to)];
  // beyond the safe integers there is no next one
  if (!(first <= last && last < Number.MAX_SAFE_INTEGER)) {
    throw new InvalidArgumentError("Give 7, or 1-1000.");
  }
  return { first, last };
}

function faults(text: string): FaultSet[] {
  const sets = text.split(",");
  if (sets.every((set) => Object.hasOwn(FAULTS, set))) return sets as FaultSet[];
  throw new InvalidArgumentError(`Give one or more of ${Object.keys(FAULTS).join(", ")}.`);
}

await runProgram(program);
