/** A service that is rolled, one process after the other: who is told what, and how the others are met by those who come back. */

import { setTimeout as delay } from "node:timers/promises";
import { startServer } from "../tests/support/program.ts";
import { Redis } from "../tests/support/redis.ts";
import type { DrainReport, DrainRequest } from "./sessions_drain_load.ts";
import { type Transport, TRANSPORTS } from "./sessions_contenders.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median, quantile } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const PROCESSES = 3;
const CLIENTS = 15_000;
const DRAIN_RATE = 1000;

/** As a balancer does: who is not ready gets nobody. */
const LOOK_MS = 100;
const DRAIN_DELAY_S = 1;

/** Between two processes, for the machine to come to rest. */
const PAUSE_MS = 2000;

export async function benchDrain(): Promise<void> {
  for (const transport of TRANSPORTS) await benchOne(transport);
}

async function benchOne(transport: Transport): Promise<void> {
  printHeading(
    `${PROCESSES} processes with ${CLIENTS} sessions, rolled one after the other at ${DRAIN_RATE} a second, ${transport}`,
  );
  await using redis = await Redis.start();
  await using stack = new AsyncDisposableStack();
  const start = async (port: number) => {
    const flags = ["--transport", transport, "--redis", redis.url, "--port", String(port)];
    const drain = ["--drain-rate", String(DRAIN_RATE), "--drain-delay", String(DRAIN_DELAY_S)];
    return stack.use(await startServer("ws-server", [...flags, ...drain]));
  };
  const servers = await Promise.all(Array.from({ length: PROCESSES }, () => start(0)));
  const ports = servers.map(({ port }) => port);
  await using load = new WorkerProcess(new URL("sessions_drain_load.ts", import.meta.url));
  const ask = <T>(request: DrainRequest) => load.ask<T>(request);

  let ready: number[] = [];
  const look = async () => {
    const before = ready.join();
    const answers = await Promise.all(ports.map(isReady));
    ready = ports.filter((_, i) => answers[i]);
    if (ready.join() !== before) await ask({ kind: "ready", ports: ready });
  };
  const lookUntil = async (settled: () => Promise<boolean> | boolean) => {
    do {
      await look();
      await delay(LOOK_MS);
    } while (!await settled());
  };
  const everyone = async () => await ask<number>({ kind: "established" }) === CLIENTS;

  await lookUntil(() => ready.length === PROCESSES);
  await ask({ kind: "open", count: CLIENTS, inFlight: 100 });
  const rows: string[][] = [];
  const reports: DrainReport[] = [];
  for (const [i, server] of servers.entries()) {
    await delay(PAUSE_MS);
    await ask({ kind: "forget" });
    let code: number | undefined;
    server.program.stop("SIGTERM").then((exit) => code = exit);
    await lookUntil(() => code !== undefined);
    if (code !== 0) throw new Error(`a drained process exits with ${code}`);
    await start(ports[i]!);
    await lookUntil(async () => ready.length === PROCESSES && await everyone());
    const report = await ask<DrainReport>({ kind: "report" });
    reports.push(report);
    rows.push(row(i, report));
  }
  printTable(
    [
      "process",
      "closed",
      "in",
      "told to wait up to",
      "most connects in 1 s",
      "of the rate",
      "gap p50",
      "p99",
      "p99 beyond the wait",
      "failed",
    ],
    rows,
  );
  console.log(
    `\n  The gap is from the close frame to the next session_id, the wait what the client drew. Clients, ${PROCESSES} servers and Redis ` +
      `share ${navigator.hardwareConcurrency} cores.\n`,
  );
  const failed = reports.reduce((sum, report) => sum + report.failed, 0);
  printAim(`${transport}: no connection fails: ${failed} do`, failed === 0);
  const peak = Math.max(...reports.map(peakOf)) / DRAIN_RATE;
  printAim(`${transport}: connects in any second at most 1.5× the drain rate: ${times(peak)}`, peak <= 1.5);
  const beyond = Math.max(...reports.map((report) => quantile(report.beyondMs, 0.99)));
  printAim(
    `${transport}: p99 of the gap at most the wait + 1 s: + ${(beyond / 1000).toFixed(2)} s`,
    beyond <= 1000,
  );
}

function row(i: number, report: DrainReport): string[] {
  const { closedAtMs, withinS, gapsMs, beyondMs, failed } = report;
  const s = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  return [
    String(i + 1),
    String(closedAtMs.length),
    s(Math.max(...closedAtMs) - Math.min(...closedAtMs)),
    `${withinS.join(" or ")} s`,
    String(peakOf(report)),
    times(peakOf(report) / DRAIN_RATE),
    s(median(gapsMs)),
    s(quantile(gapsMs, 0.99)),
    s(quantile(beyondMs, 0.99)),
    String(failed),
  ];
}

/** The most connections that were begun within any second. */
function peakOf({ connectsAtMs }: DrainReport): number {
  const sorted = connectsAtMs.toSorted((a, b) => a - b);
  let first = 0, peak = 0;
  for (const [i, atMs] of sorted.entries()) {
    while (sorted[first]! <= atMs - 1000) first++;
    peak = Math.max(peak, i - first + 1);
  }
  return peak;
}

async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
