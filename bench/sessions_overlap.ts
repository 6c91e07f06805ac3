/**
 * Whether two sessions of one client ever were established at the same time, by the kernel's own record of what was sent:
 * from the segment with a session_id to the one with the close frame, or to the end of the connection.
 *
 * The moments of all segments come from one clock and are taken when the kernel takes a segment from its sender. What
 * this cannot see is the time between a program's write and that moment; the control writes to two connections, one after
 * the other, and shows whether the order of the record can differ from the order of the writes.
 */

import { setTimeout as delay } from "node:timers/promises";
import { Proxy } from "../tests/chaos/proxy.ts";
import { startServer } from "../tests/support/program.ts";
import { Redis } from "../tests/support/redis.ts";
import { TRANSPORTS } from "./sessions_contenders.ts";
import type { OverlapRequest } from "./sessions_overlap_load.ts";
import { Capture } from "./support/capture.ts";
import { printAim, printHeading, printTable } from "./support/report.ts";
import { intervalsOf, overlapsIn } from "./support/session_intervals.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const STORMS = 3;
const STORM_CLIENTS = 4000;
const FROZEN_ROUNDS = 10;
const FROZEN_CLIENTS = 1000;
const FROZEN_MS = 2000;
const FENCE_CLIENTS = 9500;
const FENCE_SHORT_CLIENTS = 2000;
const CONTROL_PAIRS = 5000;

/** What one scenario has shown. */
interface Result {
  name: string;
  takeovers: number;
  overlaps: number;
  worstMs: number;
  leastMs: number;
  dropped: number;
}

/** Two servers of one service; the first reaches Redis by a way that can be cut. */
interface Pair extends AsyncDisposable {
  ports: number[];
  /** Of the first one. */
  kill(signal: Deno.Signal): void;
  way: Proxy;
}

export async function benchOverlap(): Promise<void> {
  printHeading("Sessions of one client at the same time, by the kernel's stamps");
  const inversions = await control();
  const results: Result[] = [];
  for (const transport of TRANSPORTS) {
    const show = (what: string) => (body: Body) => watch(transport, `${transport}: ${what}`, body, results);
    for (let storm = 1; storm <= STORMS; storm++) {
      await show(`storm ${storm}, ${STORM_CLIENTS} takeovers both ways at once`)(takeoversBothWays);
    }
    await show(`${FROZEN_ROUNDS} × ${FROZEN_CLIENTS} takeovers from a process frozen for 2 s`)(frozen);
    await show(`a process with ${FENCE_CLIENTS} sessions loses Redis`)(fence(FENCE_CLIENTS));
    await watch(
      transport,
      `${transport}: the same with --lease 1 and ${FENCE_SHORT_CLIENTS}`,
      fence(FENCE_SHORT_CLIENTS),
      results,
      1,
    );
  }
  console.log();
  printTable(
    ["", "takeovers", "overlaps", "worst", "least time between", "segments lost"],
    results.map(({ name, takeovers, overlaps, worstMs, leastMs, dropped }) => [
      name,
      String(takeovers),
      String(overlaps),
      overlaps > 0 ? `${worstMs.toFixed(3)} ms` : "",
      `${leastMs.toFixed(3)} ms`,
      String(dropped),
    ]),
  );
  console.log(
    `\n  The record's own error: of ${CONTROL_PAIRS} pairs of writes, one after the other, ${inversions} are the other way round.\n`,
  );
  const found = results.reduce((sum, { overlaps }) => sum + overlaps, 0);
  const whole = results.every(({ dropped }) => dropped === 0);
  printAim(`no overlap in any of them: ${found}`, found === 0 && whole && inversions === 0);
}

type Body = (pair: Pair, load: WorkerProcess) => Promise<void>;

async function watch(
  transport: string,
  name: string,
  body: Body,
  results: Result[],
  leaseS = 10,
): Promise<void> {
  await using pair = await startPair(transport, leaseS);
  await using load = new WorkerProcess(new URL("sessions_overlap_load.ts", import.meta.url));
  await using capture = await Capture.start(pair.ports);
  await body(pair, load);
  const { segments, dropped } = await capture.stop();
  const { takeovers, overlaps, leastMs } = overlapsIn(intervalsOf(segments, new Set(pair.ports)));
  const worstMs = Math.max(0, ...overlaps.map(({ ms }) => ms));
  results.push({ name, takeovers, overlaps: overlaps.length, worstMs, leastMs, dropped });
  console.log(
    `  ${name}: ${takeovers} takeovers, ${overlaps.length} overlaps, at the worst ${worstMs.toFixed(1)} ms`,
  );
}

async function startPair(transport: string, leaseS: number): Promise<Pair> {
  const stack = new AsyncDisposableStack();
  const redis = stack.use(await Redis.start());
  const way = stack.use(new Proxy(redis.port));
  const flags = ["--transport", transport, "--lease", String(leaseS), "--takeover-limit", "0"];
  const first = stack.use(
    await startServer("ws-server", [...flags, "--redis", `redis://127.0.0.1:${way.port}`]),
  );
  const second = stack.use(await startServer("ws-server", [...flags, "--redis", redis.url]));
  return {
    ports: [first.port, second.port],
    kill: (signal) => first.program.kill(signal),
    way,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const ask = (load: WorkerProcess, request: OverlapRequest) => load.ask<number>(request);

/** Half the clients are on each process, and all go to the other one. */
async function takeoversBothWays({ ports }: Pair, load: WorkerProcess): Promise<void> {
  for (const target of [ports, ports.toReversed()]) {
    await ask(load, { kind: "arrive", prefix: "storm", count: STORM_CLIENTS, ports: target });
    await ask(load, { kind: "established" });
  }
  await ask(load, { kind: "leave" });
}

/** The successors arrive while the process that holds the older sessions is stopped, for less than its lease. */
async function frozen({ ports: [first, second], kill }: Pair, load: WorkerProcess): Promise<void> {
  for (let round = 0; round < FROZEN_ROUNDS; round++) {
    const clients = { kind: "arrive", prefix: `frozen-${round}`, count: FROZEN_CLIENTS } as const;
    await ask(load, { ...clients, ports: [first!] });
    await ask(load, { kind: "established" });
    kill("SIGSTOP");
    await ask(load, { ...clients, ports: [second!] });
    await delay(FROZEN_MS);
    kill("SIGCONT");
    await ask(load, { kind: "established" });
    await ask(load, { kind: "leave" });
  }
}

/** A process can no longer reach Redis; the successors wait for the end of its lease. */
function fence(count: number): Body {
  return async ({ ports: [first, second], way }, load) => {
    const clients = { kind: "arrive", prefix: "fence", count } as const;
    await ask(load, { ...clients, ports: [first!] });
    await ask(load, { kind: "established" });
    way.mode = { kind: "stall" };
    await ask(load, { ...clients, ports: [second!] });
    await ask(load, { kind: "established" });
    await ask(load, { kind: "leave" });
  };
}

/** @returns how many of pairs of writes the record shows in the other order. */
async function control(): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await using capture = await Capture.start([port]);
  const ends = await Promise.all([1, 2].map(async () => {
    const near = Deno.connect({ hostname: "127.0.0.1", port });
    return { near: await near, far: await listener.accept() };
  }));
  const bytes = new Uint8Array(40);
  for (let i = 0; i < CONTROL_PAIRS; i++) {
    for (const { near } of ends) await near.write(bytes);
    for (const { far } of ends) await far.read(bytes);
  }
  for (const { near, far } of ends) [near, far].forEach((conn) => conn.close());
  const { segments } = await capture.stop();
  const sources = segments.filter(({ to, ends }) => to === port && !ends).map(({ from }) => from);
  let inversions = 0;
  for (let i = 0; i + 1 < sources.length; i += 2) if (sources[i] !== sources[0]) inversions++;
  return inversions;
}
