/** Connections: how many a second, and what one costs the server from TCP connect to session_id. */

import { Redis } from "../tests/support/redis.ts";
import type { LoadRequest } from "./sessions_load.ts";
import {
  bare,
  bareTuned,
  type Contender,
  peers,
  TRANSPORTS,
  withMemory,
  withRedis,
} from "./sessions_contenders.ts";
import { cpuMs } from "./support/process_usage.ts";
import { percent, printAim, printHeading, printTable, times } from "./support/report.ts";
import type { ServerProcess } from "./support/server_process.ts";
import { median } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";
import { LoadClient } from "./support/load_client.ts";

const ROUNDS = 7;
const CONNECTIONS = 4000;
const IN_FLIGHT = 64;

/** One round of one server; CPU in µs per connection. */
interface Sample {
  perSecond: number;
  openUs: number;
  lifeUs: number;
  /** Share of one core, of the server, the clients and Redis. */
  busy: { server: number; clients: number; redis: number };
}

interface Series {
  name: string;
  samples: Sample[];
}

export async function benchConnect(): Promise<void> {
  printHeading(
    `Connections: ${CONNECTIONS} in a round, ${IN_FLIGHT} at a time, ${ROUNDS} rounds in turn; CPU of the server process`,
  );
  await using redis = await Redis.start();
  const folder = await Deno.makeTempDir();
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => Deno.remove(folder, { recursive: true }));
  const ours = TRANSPORTS.map((transport) => [withMemory(transport), withRedis(transport, redis.url)]).flat();
  const contenders = [bare, bareTuned, ...ours, ...await peers(redis.url, folder)];
  const servers: ServerProcess[] = [];
  for (const contender of contenders) {
    const server = cleanUp.use(await contender.start());
    if (contender !== bare && contender !== bareTuned) await proveTheJob(contender, server.port);
    servers.push(server);
  }
  const load = cleanUp.use(new WorkerProcess(new URL("sessions_load.ts", import.meta.url)));

  const series: Series[] = contenders.map(({ name }) => ({ name, samples: [] }));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, server] of servers.entries()) {
      const sample = await measure(load, server, redis.pid);
      if (round > 0) series[i]!.samples.push(sample); // the first warms up
    }
  }
  report(series);
}

/** Sees that a server replaces the older of two sessions, and only then speaks to the newer. */
async function proveTheJob({ name }: Contender, port: number): Promise<void> {
  const older = await LoadClient.connect(port, "the-same");
  let code = 0;
  const ended = older.hold().then((value) => code = value);
  const newer = await LoadClient.connect(port, "the-same");
  await ended;
  newer.closeNow();
  if (code !== 4409) throw new Error(`${name} does another job: it ended the older session with ${code}`);
}

async function measure(load: WorkerProcess, server: ServerProcess, redisPid: number): Promise<Sample> {
  const pids = [server.pid, load.pid, redisPid];
  const used = () => pids.map(cpuMs);
  const request = (request: LoadRequest) => load.ask<number>(request);
  const before = used();
  const ms = await request({ kind: "open", port: server.port, count: CONNECTIONS, inFlight: IN_FLIGHT });
  const opened = used();
  await request({ kind: "close" });
  const closed = used();
  const [ofServer, clients, redis] = opened.map((value, i) => (value - before[i]!) / ms) as [
    number,
    number,
    number,
  ];
  return {
    perSecond: CONNECTIONS / ms * 1000,
    openUs: (opened[0]! - before[0]!) / CONNECTIONS * 1000,
    lifeUs: (closed[0]! - before[0]!) / CONNECTIONS * 1000,
    busy: { server: ofServer, clients, redis },
  };
}

function report(series: Series[]): void {
  const floor = series[0]!;
  const column = ({ samples }: Series, value: (sample: Sample) => number) => median(samples.map(value));
  /** The median of the ratios within a round: what disturbs the machine disturbs both. */
  const ratio = (a: Series, b: Series, value: (sample: Sample) => number) =>
    median(a.samples.map((sample, i) => value(sample) / value(b.samples[i]!)));

  printTable(
    [
      "",
      "conn/s",
      "CPU to session_id",
      "of bare",
      "with its close",
      "of bare",
      "busy: server",
      "clients",
      "Redis",
      "busiest",
    ],
    series.map((one) => {
      const busy = (["server", "clients", "redis"] as const)
        .map((who) => ({ who, share: column(one, (sample) => sample.busy[who]) }));
      return [
        one.name,
        column(one, (sample) => sample.perSecond).toFixed(0),
        `${column(one, (sample) => sample.openUs).toFixed(0)} µs`,
        times(ratio(one, floor, (sample) => sample.openUs)),
        `${column(one, (sample) => sample.lifeUs).toFixed(0)} µs`,
        times(ratio(one, floor, (sample) => sample.lifeUs)),
        ...busy.map(({ share }) => percent(share)),
        busy.toSorted((a, b) => b.share - a.share)[0]!.who,
      ];
    }),
  );
  const cpu = (sample: Sample) => sample.openUs;
  console.log();
  const peers = series.slice(2 + 2 * TRANSPORTS.length);
  for (const [i, transport] of TRANSPORTS.entries()) {
    const [memory, redis] = series.slice(2 + 2 * i) as [Series, Series];
    const ofMemory = ratio(memory, floor, cpu);
    printAim(
      `${transport}: CPU with the memory store at most 1.2× bare: ${times(ofMemory)}`,
      ofMemory <= 1.2,
    );
    const ofRedis = ratio(redis, floor, cpu);
    printAim(`${transport}: CPU with Redis at most 1.5× bare: ${times(ofRedis)}`, ofRedis <= 1.5);
    for (const peer of peers) {
      const faster = ratio(redis, peer, (sample) => sample.perSecond);
      const cheaper = ratio(peer, redis, cpu);
      printAim(
        `${transport}: faster than ${peer.name}: ${times(faster)} its connections a second, its CPU is ${
          times(cheaper)
        } ours`,
        faster > 1 && cheaper > 1,
      );
    }
  }
}
