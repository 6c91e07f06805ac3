/** What one client can do to the others: how long another one waits for a reply meanwhile. */

import type { BenchOptions } from "./support/bench_options.ts";
import { setTimeout as delay } from "node:timers/promises";
import { type Server, startServer } from "../tests/support/program.ts";
import { printAim, printHeading, printTable } from "./support/report.ts";
import { quantile } from "./support/statistics.ts";
import { Peer } from "./support/tasks_peer.ts";
import { WorkerProcess } from "./support/worker_process.ts";
import { ATTACK_NAMES } from "./tasks_attacker.ts";

/** What it is to be on a quiet machine. */
const AIM_MS = 20;

/** How often the good client asks. */
const EVERY_MS = 2;

const KEPT = 2000;
const encoder = new TextEncoder();
const stats = encoder.encode('{"type":"stats"}\n');

/** Measures the waits of a good client beside each attack, and beside none. */
export async function benchAttacks({ ms, against }: BenchOptions): Promise<void> {
  printHeading(`Another client's wait for one reply, while one client does its worst, ${ms / 1000} s each`);
  await using attacker = new WorkerProcess(new URL("./tasks_attacker.ts", import.meta.url));
  const rows: string[][] = [];
  let worst = 0;
  for (const attack of ATTACK_NAMES) {
    const { waits, requests } = await measure(attack, ms, attacker);
    const p99 = quantile(waits, 0.99);
    worst = Math.max(worst, p99);
    rows.push([
      attack,
      ...[quantile(waits, 0.5), p99, Math.max(...waits)].map((wait) => wait.toFixed(1)),
      Math.round(requests / ms * 1000).toLocaleString("en"),
      ...(against ? [quantile((await measure(attack, ms, attacker, against)).waits, 0.99).toFixed(1)] : []),
    ]);
  }
  const head = ["one client", "p50 ms", "p99 ms", "worst ms", "its requests/s"];
  printTable([...head, ...(against ? ["p99 before, ms"] : [])], rows);
  printAim(`p99 under ${AIM_MS} ms beside each: ${worst.toFixed(1)} ms`, worst < AIM_MS);
}

async function measure(attack: string, ms: number, attacker: WorkerProcess, command?: string[]) {
  const delayFactor = attack.includes("while it works") ? "0" : "1";
  await using server = await startServer("tasks-server", ["--delay-factor", delayFactor], { command });
  await fill(server);
  const during = attacker.ask<number>({ attack, port: server.port, ms });
  const waits = await waitsOf(server.port, ms);
  return { waits, requests: await during };
}

/** So that `list` has something to show. */
async function fill({ port }: Server): Promise<void> {
  using peer = await Peer.connect(port);
  await peer.ask(encoder.encode('{"type":"run","task_name":"unknown","data":""}\n'.repeat(KEPT)), KEPT);
}

async function waitsOf(port: number, ms: number): Promise<number[]> {
  using peer = await Peer.connect(port);
  const waits: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end;) {
    const start = performance.now();
    await peer.ask(stats, 1);
    waits.push(performance.now() - start);
    await delay(EVERY_MS);
  }
  return waits;
}
