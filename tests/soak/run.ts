/** A soak: many connections, constant churn and a stream of tasks for as long as asked, measured all the time. */

import { setTimeout as delay } from "node:timers/promises";
import { TasksClient } from "../../lib/tasks/client.ts";
import { TextLineStream } from "../support/lines.ts";
import { openDescriptors, residentMiB } from "../support/process.ts";
import { type Server, startServer } from "../support/program.ts";
import { Redis } from "../support/redis.ts";
import type { LoadOptions, LoadReport } from "./load.ts";
import { grows } from "./trend.ts";

export interface SoakOptions {
  seed: string;
  durationMs: number;
  /** Connections held at a time, over all servers. */
  connections: number;
  servers: number;
  /** Of all connections, how many are replaced and how many are dropped each second. */
  replacedPerS: number;
  droppedPerS: number;
  tasksPerS: number;
  sampleMs: number;
  /** How many of the connections may be on their way at the moment of a sample, as a part of all. @default 0.02 */
  maxAway?: number;
  /** Growth of a process that is no trend, MiB: of a short run, what it takes until all has been used once. @default 30 */
  memoryToleranceMiB?: number;
  onSample?: (sample: Sample) => void;
}

/** What was measured at one moment; one number for each server where there is a list, the tasks-server last. */
export interface Sample {
  atS: number;
  established: number;
  memoryMiB: number[];
  descriptors: number[];
  /** The longest delay of the event loop since the last sample, ms. */
  loopDelayMs: number[];
  /** Entries of sessions in Redis, other keys, and its memory. */
  redis: { sessions: number; keys: number; memoryMiB: number };
  load: LoadReport;
  tasks: number;
}

export interface SoakReport {
  samples: Sample[];
  failures: string[];
}

/** Processes of clients: the descriptor limit is one for each process. */
const LOADS = 2;

/** What a server may have open beside its sessions: listener, Redis, and the connections that come and go. */
const SPARE_DESCRIPTORS = 300;

/** Growth that is no trend: MiB, descriptors, and keys. */
const MEMORY_TOLERANCE_MIB = 30;
const DESCRIPTOR_TOLERANCE = 100;
const KEYS_TOLERANCE = 10;

/** How many of the connections may be on their way at the moment of a sample; those that were dropped come on top. */
const AWAY = 0.02;

/** How long one that was dropped may stay away, with a reserve. */
const MAX_AWAY_S = 3;

/** Holds the load for the time asked; reports every sample, and what was wrong. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { seed, durationMs, connections, servers, sampleMs, onSample } = options;
  await using redis = await Redis.start();
  await using running = new AsyncDisposableStack();
  const start = async (name: "ws-server" | "tasks-server", args: string[]) =>
    running.use(await startServer(name, args));
  const ws: Server[] = [];
  for (let i = 0; i < servers; i++) {
    ws.push(await start("ws-server", ["--redis", redis.url, "--takeover-limit", "0"]));
  }
  const tasks = await start("tasks-server", ["--delay-factor", "0", "--keep-results", "10000"]);
  const stream = running.use(new TaskStream(tasks.port, options.tasksPerS));
  const loads = Array.from({ length: LOADS }, (_, i) =>
    running.use(
      new LoadProcess({
        seed,
        ports: ws.map(({ port }) => port),
        name: `load${i}`,
        clients: Math.round(connections / LOADS),
        replacedPerS: options.replacedPerS / LOADS,
        droppedPerS: options.droppedPerS / LOADS,
      }),
    ));
  const samples: Sample[] = [];
  const startedAt = performance.now();
  let heldSince: number | undefined;
  while (heldSince === undefined || performance.now() < heldSince + durationMs) {
    await delay(sampleMs);
    const sample = await measure(ws, tasks, redis, loads, stream, (performance.now() - startedAt) / 1000);
    onSample?.(sample);
    if (heldSince === undefined) { // until all are there, nothing is a trend
      if (sample.established >= leastEstablished(options)) heldSince = performance.now();
      else if (performance.now() - startedAt > 120_000) {
        return { samples: [sample], failures: ["not everyone could connect"] };
      }
      continue;
    }
    samples.push(sample);
  }
  return { samples, failures: judge(samples, options, stream.failure) };
}

async function measure(
  ws: Server[],
  tasks: Server,
  redis: Redis,
  loads: LoadProcess[],
  stream: TaskStream,
  atS: number,
): Promise<Sample> {
  const pids = [...ws, tasks].map(({ program }) => program.pid);
  const metrics = await Promise.all(
    ws.map(async ({ port }) => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
  );
  const of = (text: string, name: string) =>
    Number(text.match(new RegExp(`^${name} (\\S+)`, "m"))?.[1] ?? NaN);
  const lines = await redis.command("EVAL", COUNT_SESSIONS, "0");
  const memory = await redis.command("INFO", "memory");
  return {
    atS: Math.round(atS),
    established: metrics.reduce((sum, text) => sum + of(text, "solo_sessions_established"), 0),
    memoryMiB: await Promise.all(pids.map(residentMiB)),
    descriptors: await Promise.all(pids.map(openDescriptors)),
    loopDelayMs: metrics.map((text) => Math.round(of(text, "nodejs_eventloop_lag_max_seconds") * 1000)),
    redis: {
      sessions: Number(lines),
      keys: Number(await redis.command("DBSIZE")),
      memoryMiB: Math.round(Number(memory.match(/used_memory:(\d+)/)?.[1]) / 2 ** 20),
    },
    load: sum(loads.map(({ report }) => report)),
    tasks: stream.done,
  };
}

/** Lines of clients in all buckets. */
const COUNT_SESSIONS =
  "local n = 0 for i = 0, 255 do n = n + redis.call('HLEN', '{solo}:sessions:' .. i) end return n";

function leastEstablished({ connections, droppedPerS }: SoakOptions): number {
  return connections * (1 - AWAY) - droppedPerS * MAX_AWAY_S;
}

function judge(samples: Sample[], options: SoakOptions, taskFailure?: string): string[] {
  const { connections, servers, maxAway = AWAY, memoryToleranceMiB = MEMORY_TOLERANCE_MIB } = options;
  const failures: string[] = [];
  const series = (what: string, values: number[], tolerance: number) => {
    if (grows(values, tolerance)) failures.push(`${what} grows: ${values.join(", ")}`);
  };
  for (let i = 0; i <= servers; i++) {
    const name = i === servers ? "tasks-server" : `ws-server ${i}`;
    series(`memory of ${name}, MiB,`, samples.map(({ memoryMiB }) => memoryMiB[i]!), memoryToleranceMiB);
    series(`descriptors of ${name}`, samples.map(({ descriptors }) => descriptors[i]!), DESCRIPTOR_TOLERANCE);
  }
  series("memory of Redis, MiB,", samples.map(({ redis }) => redis.memoryMiB), MEMORY_TOLERANCE_MIB);
  series("keys in Redis", samples.map(({ redis }) => redis.keys), KEYS_TOLERANCE);
  for (const { atS, established, descriptors, redis } of samples) {
    const away = Math.abs(established - connections);
    if (away > connections * maxAway) {
      failures.push(`${atS} s: ${established} of ${connections} are established`);
    }
    if (redis.sessions > connections) failures.push(`${atS} s: Redis has ${redis.sessions} sessions`);
    const open = descriptors.slice(0, servers).reduce((sum, count) => sum + count, 0);
    if (open > established + servers * SPARE_DESCRIPTORS) {
      failures.push(`${atS} s: ${open} descriptors are open`);
    }
  }
  const unexpected = Object.entries(samples.at(-1)?.load.unexpected ?? {});
  for (const [what, count] of unexpected) failures.push(`${count} connections ended with ${what}`);
  if (taskFailure) failures.push(`the stream of tasks: ${taskFailure}`);
  return failures;
}

function sum(reports: LoadReport[]): LoadReport {
  const total: LoadReport = { established: 0, replaced: 0, dropped: 0, unexpected: {} };
  for (const { established, replaced, dropped, unexpected } of reports) {
    total.established += established;
    total.replaced += replaced;
    total.dropped += dropped;
    for (const [what, count] of Object.entries(unexpected)) {
      total.unexpected[what] = (total.unexpected[what] ?? 0) + count;
    }
  }
  return total;
}

/** A process of clients; see load.ts. */
class LoadProcess implements AsyncDisposable {
  report: LoadReport = { established: 0, replaced: 0, dropped: 0, unexpected: {} };
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;

  constructor(options: LoadOptions) {
    const script = new URL("./load.ts", import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", script, JSON.stringify(options)],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#read = this.#collect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#read;
  }

  async #collect(): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      try {
        this.report = JSON.parse(line);
      } catch {
        // cut off when the process was killed
      }
    }
  }
}

/** Tasks at a steady rate; each result is checked. */
class TaskStream implements AsyncDisposable {
  done = 0;
  failure: string | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(port: number, perS: number) {
    this.#running = this.#run(port, perS).catch((error) => void (this.failure = error.message));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(port: number, perS: number): Promise<void> {
    await using client = await TasksClient.connect({ hostname: "127.0.0.1", port });
    while (!this.#stop.signal.aborted) {
      const data = `task ${this.done}`;
      const added = await client.request({ type: "run", task_name: "revers", data });
      if (!("task_id" in added)) throw new Error(added.error);
      const result = await client.request({ type: "get_result", task_id: added.task_id, wait: true });
      if (result.data !== [...data].reverse().join("")) throw new Error(`wrong: ${JSON.stringify(result)}`);
      this.done++;
      await delay(1000 / perS);
    }
  }
}
