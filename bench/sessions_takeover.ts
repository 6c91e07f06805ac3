/** Takeovers across two processes: how long a new connection waits for its session_id when another process has its client. */

import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "../tests/support/redis.ts";
import type { LoadRequest } from "./sessions_load.ts";
import { bare, type Transport, TRANSPORTS, withRedis } from "./sessions_contenders.ts";
import { cpuMs } from "./support/process_usage.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median, quantile } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const ROUNDS = 7;
const IN_FLIGHT = 100;

interface Sample {
  p50: number;
  p99: number;
  /** Mean time of a command to Redis as the servers saw it meanwhile, ms. */
  roundTrip: number;
  /** CPU time of all processes per connection, ms. */
  cpu: number;
}

interface Case {
  name: string;
  ports: number[];
  clients: number;
  bursts: number;
  replace: boolean;
}

export async function benchTakeover(): Promise<void> {
  for (const transport of TRANSPORTS) await benchOne(transport);
}

async function benchOne(transport: Transport): Promise<void> {
  printHeading(
    `Takeovers between two processes, ${transport}, ${ROUNDS} rounds: from connect of the newer to its session_id`,
  );
  await using redis = await Redis.start();
  await using one = await withRedis(transport, redis.url, "--takeover-limit", "0").start();
  await using other = await withRedis(transport, redis.url, "--takeover-limit", "0").start();
  await using floor = await bare.start();
  await using load = new WorkerProcess(new URL("sessions_load.ts", import.meta.url));
  const ports = [one.port, other.port];
  const pids = [one, other, floor, load, redis].map(({ pid }) => pid);
  const cases: Case[] = [
    { name: "1 takeover at a time", ports, clients: 1, bursts: 50, replace: true },
    { name: `${IN_FLIGHT} takeovers at once`, ports, clients: IN_FLIGHT, bursts: 16, replace: true },
    {
      name: `${IN_FLIGHT} upgrades at once, bare`,
      ports: [floor.port],
      clients: IN_FLIGHT,
      bursts: 16,
      replace: false,
    },
  ];
  const samples: Sample[][] = cases.map(() => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, one] of cases.entries()) {
      const sample = await measure(load, one, pids);
      if (round > 0) samples[i]!.push(sample); // the first warms up
    }
  }
  report(cases, samples);
}

async function measure(
  load: WorkerProcess,
  { ports, clients, bursts, replace }: Case,
  pids: number[],
): Promise<Sample> {
  const cpu = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const redis = replace ? await roundTrips(ports) : undefined;
  const before = { cpu: cpu(), redis };
  const request: LoadRequest = { kind: "bursts", ports, clients, bursts, replace };
  const latencies = await load.ask<number[]>(request);
  const used = cpu() - before.cpu;
  const after = replace ? await roundTrips(ports) : undefined;
  return {
    p50: median(latencies),
    p99: quantile(latencies, 0.99),
    roundTrip: after && before.redis
      ? (after.ms - before.redis.ms) / (after.count - before.redis.count)
      : NaN,
    cpu: used / (clients * (bursts + 1)),
  };
}

/** The commands that servers have sent to Redis so far, and the time they took, from their `/metrics`, which may be a second old. */
async function roundTrips(ports: number[]): Promise<{ ms: number; count: number }> {
  await delay(1_100);
  const sum = { ms: 0, count: 0 };
  for (const port of ports) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const value = (name: string) =>
      Number(text.match(new RegExp(`^solo_redis_round_trip_seconds_${name} (\\S+)$`, "m"))![1]);
    sum.ms += value("sum") * 1000;
    sum.count += value("count");
  }
  return sum;
}

function report(cases: Case[], samples: Sample[][]): void {
  const column = (i: number, value: (sample: Sample) => number) => median(samples[i]!.map(value));
  const inRoundTrips = (i: number) => column(i, (sample) => sample.p50 / sample.roundTrip);
  const ms = (value: number) => Number.isNaN(value) ? "" : `${value.toFixed(2)} ms`;
  printTable(
    ["", "p50", "p99", "round trip", "p50 in round trips", "CPU of all processes, each"],
    cases.map(({ name, replace }, i) => [
      name,
      ms(column(i, (sample) => sample.p50)),
      ms(column(i, (sample) => sample.p99)),
      ms(column(i, (sample) => sample.roundTrip)),
      replace ? inRoundTrips(i).toFixed(1) : "",
      ms(column(i, (sample) => sample.cpu)),
    ]),
  );
  const [single, many] = [0, 1];
  const cores = navigator.hardwareConcurrency;
  const leastMs = column(many, (sample) => sample.cpu) * IN_FLIGHT / cores;
  console.log(
    `\n  A round trip is what a server waits for a command, by its own /metrics. Clients, both servers and Redis share ` +
      `${cores} cores:\n  the CPU time of ${IN_FLIGHT} takeovers alone fills them for ${
        leastMs.toFixed(0)
      } ms.\n`,
  );
  for (const i of [single, many]) {
    printAim(
      `p50 of ${cases[i]!.name} at most 6 round trips: ${inRoundTrips(i).toFixed(1)}`,
      inRoundTrips(i) <= 6,
    );
  }
  const bareCase = 2;
  const ratio = median(samples[many]!.map((sample, round) => sample.p99 / samples[bareCase]![round]!.p99));
  printAim(
    `p99 of ${cases[many]!.name} at most 1.5× that of ${cases[bareCase]!.name}: ${times(ratio)}`,
    ratio <= 1.5,
  );
}
