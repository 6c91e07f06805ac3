/** Ten thousand sessions that do nothing but answer PINGs: what each costs in memory, and all in CPU. */

import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "../tests/support/redis.ts";
import type { LoadRequest } from "./sessions_load.ts";
import { bare, TRANSPORTS, withMemory, withRedis } from "./sessions_contenders.ts";
import { cpuMs, residentBytes } from "./support/process_usage.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const ROUNDS = 3;
const CONNECTIONS = 10_000;
/** Every session is pinged five times in it. */
const WINDOW_MS = 25_000;
/** What opening has left to do is no part of it. */
const SETTLE_MS = 5_000;
/** What an idle connection may hold with `--transport node`, which keeps less than the bare platform. */
const MAX_KIB = 12;

/** What one server used in one round. */
interface Sample {
  bytesEach: number;
  /** Share of one core. */
  cpu: number;
}

const contendersOf = (redisUrl: string) => [
  bare,
  ...TRANSPORTS.flatMap((transport) => [withMemory(transport), withRedis(transport, redisUrl)]),
];

const names = contendersOf("").map(({ name }) => name);

export async function benchIdle(): Promise<void> {
  printHeading(
    `Idle: ${CONNECTIONS} sessions each, PINGs answered, ${
      WINDOW_MS / 1000
    } s, all servers at the same time, ` +
      `${ROUNDS} rounds with new processes`,
  );
  const samples: Sample[][] = names.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % names.length; // whoever opens last has had the least time to settle
    const order = names.map((_, i) => (first + i) % names.length);
    const measured = await measure(order);
    order.forEach((which, i) => samples[which]!.push(measured[i]!));
  }
  report(samples);
}

/** A round: a sample of each server, in the order in which they are started. */
async function measure(order: number[]): Promise<Sample[]> {
  await using redis = await Redis.start();
  await using running = new AsyncDisposableStack();
  const contenders = contendersOf(redis.url);
  const servers: { pid: number; bytes: number }[] = [];
  for (const which of order) {
    const { pid, port } = running.use(await contenders[which]!.start());
    const load = running.use(new WorkerProcess(new URL("sessions_load.ts", import.meta.url)));
    const request = (request: LoadRequest) => load.ask(request);
    const bytes = residentBytes(pid);
    await request({ kind: "open", port, count: CONNECTIONS, inFlight: 64 });
    await request({ kind: "hold" });
    servers.push({ pid, bytes });
  }
  await delay(SETTLE_MS);
  const before = servers.map(({ pid }) => cpuMs(pid));
  await delay(WINDOW_MS);
  return servers.map(({ pid, bytes }, i) => ({
    bytesEach: (residentBytes(pid) - bytes) / CONNECTIONS,
    cpu: (cpuMs(pid) - before[i]!) / WINDOW_MS,
  }));
}

function report(samples: Sample[][]): void {
  const column = (i: number, value: (sample: Sample) => number) => median(samples[i]!.map(value));
  const ratio = (i: number, value: (sample: Sample) => number) =>
    median(samples[i]!.map((sample, round) => value(sample) / value(samples[0]![round]!)));
  const bytes = (sample: Sample) => sample.bytesEach;
  const cpu = (sample: Sample) => sample.cpu;

  printTable(
    ["", "memory each", "of bare", "CPU of all", "of bare"],
    names.map((name, i) => [
      name,
      `${(column(i, bytes) / 1024).toFixed(1)} KiB`,
      times(ratio(i, bytes)),
      `${(column(i, cpu) * 100).toFixed(1)} % of a core`,
      times(ratio(i, cpu)),
    ]),
  );
  console.log();
  for (let i = 1; i < names.length; i++) {
    const kib = column(i, bytes) / 1024;
    if (names[i]!.includes("node")) {
      printAim(`memory of ${names[i]} at most ${MAX_KIB} KiB each: ${kib.toFixed(1)} KiB`, kib <= MAX_KIB);
    } else {printAim(
        `memory of ${names[i]} at most 1.2× bare: ${times(ratio(i, bytes))}`,
        ratio(i, bytes) <= 1.2,
      );}
    printAim(`CPU of ${names[i]} at most 1.2× bare: ${times(ratio(i, cpu))}`, ratio(i, cpu) <= 1.2);
  }
}
