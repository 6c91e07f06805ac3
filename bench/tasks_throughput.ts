/** Requests and tasks a second, beside those of another checkout where there is one. */

import type { BenchOptions } from "./support/bench_options.ts";
import { type Server, startServer } from "../tests/support/program.ts";
import { percent, printAim, printHeading, printTable, times } from "./support/report.ts";
import { median } from "./support/statistics.ts";
import { Peer } from "./support/tasks_peer.ts";
import { mainThreadMs } from "./support/process_usage.ts";

const CONNECTIONS = 50;
const PIPELINED = 16;

/** Each row is measured so often, in turns with that of the other checkout: a busy machine then meets both alike. */
const ROUNDS = 5;

/** Status may be as much slower than before. */
const STATUS_AIM = 0.95;

/** What `run` is to reach where `status` reaches 1: 60,000 a second where that is 73,000. */
const RUN_AIM = 60 / 73;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const STATUS = '{"type":"status","task_id":1}\n';
const ECHO = '{"type":"run","task_name":"echo","data":"hello"}\n';
const runs = encoder.encode(ECHO.repeat(PIPELINED));

/** One turn of one client; returns how many units of work it did. */
type Load = (peer: Peer) => Promise<number>;

const asking = (request: string, count: number): Load => {
  const bytes = encoder.encode(request.repeat(count));
  return async (peer) => (await peer.ask(bytes, count), count);
};

/** Runs a batch of echo tasks and waits until the last has ended. */
export async function executeEchoes(peer: Peer): Promise<number> {
  const replies = decoder.decode(await peer.ask(runs, PIPELINED));
  const last = replies.slice(replies.lastIndexOf(":") + 1, replies.lastIndexOf("}"));
  await peer.ask(encoder.encode(`{"type":"status","task_id":${last}}\n`), 1);
  return PIPELINED;
}

const STATUS_ROW = "status, one in flight";
const RUN_ROW = "run, one in flight, executed meanwhile";
const ROWS: Record<string, Load> = {
  [STATUS_ROW]: asking(STATUS, 1),
  [`status, ${PIPELINED} in flight`]: asking(STATUS, PIPELINED),
  [RUN_ROW]: asking(ECHO, 1),
  [`run, ${PIPELINED} in flight`]: asking(ECHO, PIPELINED),
  "echo tasks, from run to the reply of a client that waits": executeEchoes,
};

interface Measured {
  /** Units of work a second. */
  rate: number;
  /** How busy the server's main thread was, of one core. */
  busy: number;
}

/** Measures each row, in turns with the other checkout. */
export async function benchThroughput({ ms, against }: BenchOptions): Promise<void> {
  printHeading(
    `tasks-server, ${CONNECTIONS} connections, the median of ${ROUNDS} rounds, ${ms / 1000} s in all`,
  );
  await using now = await start();
  await using before = against && await start(against);
  const rows: string[][] = [];
  const rates: Record<string, number> = {};
  for (const [name, load] of Object.entries(ROWS)) {
    const measured: { now: Measured[]; before: Measured[] } = { now: [], before: [] };
    for (let round = 0; round < ROUNDS; round++) {
      if (before) measured.before.push(await measure(before, load, ms / ROUNDS));
      measured.now.push(await measure(now, load, ms / ROUNDS));
    }
    const rate = rates[name] = median(measured.now.map(({ rate }) => rate));
    const busy = median(measured.now.map(({ busy }) => busy));
    const other = median(measured.before.map(({ rate }) => rate));
    rows.push([name, count(rate), percent(busy), ...(before ? [count(other), times(rate / other)] : [])]);
    if (before && name.startsWith("status")) rates[`${name}, of before`] = rate / other;
  }
  printTable(["", "a second", "its core", ...(before ? ["before", "ratio"] : [])], rows);
  const ratio = rates[`${STATUS_ROW}, of before`];
  if (ratio !== undefined) {
    printAim(`status at ${percent(STATUS_AIM)} of before or more: ${times(ratio)}`, ratio >= STATUS_AIM);
  }
  const run = rates[RUN_ROW]! / rates[STATUS_ROW]!;
  printAim(`run at ${percent(RUN_AIM)} of status or more: ${percent(run)}`, run >= RUN_AIM);
}

/** A queue that takes all that comes, so that `run` measures the reply and not the refusal. */
async function start(command?: string[]): Promise<Server> {
  const server = await startServer("tasks-server", [
    ...["--queue-limit", "10000000", "--queue-bytes", "1000000000"],
  ], { command });
  using peer = await Peer.connect(server.port);
  await peer.ask(encoder.encode(ECHO), 1); // task 1, which status asks for
  return server;
}

async function measure({ port, program }: Server, load: Load, ms: number): Promise<Measured> {
  const peers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Peer.connect(port)));
  const before = mainThreadMs(program.pid);
  const start = performance.now();
  let done = 0;
  await Promise.all(peers.map(async (peer) => {
    while (performance.now() - start < ms) {
      const units = await load(peer); // `done += await …` would add to what `done` was before the wait
      done += units;
    }
  }));
  const elapsedMs = performance.now() - start;
  const busy = (mainThreadMs(program.pid) - before) / elapsedMs;
  peers.forEach((peer) => peer[Symbol.dispose]());
  return { rate: done / elapsedMs * 1000, busy };
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}
