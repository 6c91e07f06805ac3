/** A fuzzing run: hostile clients and good ones against one real tasks-server. */

import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../chaos/random.ts";
import { startServer } from "../support/program.ts";
import { residentMiB } from "../support/process.ts";
import { beGood } from "./good_client.ts";
import { beHostile } from "./hostile_client.ts";

export interface FuzzOptions {
  seed: string;
  /** Asked about every second whether this is enough. */
  isEnough: (report: FuzzReport) => boolean;
  /** Hostile connections at a time. */
  hostile: number;
  /** Good clients beside them. */
  good: number;
  /** Told now and then how it goes. */
  onProgress?: (report: FuzzReport) => void;
}

export interface FuzzReport {
  /** Hostile connections made, and what they sent. */
  inputs: number;
  bytes: number;
  /** Replies that a good client has checked. */
  replies: number;
  /** What the server takes at the start, now, and took at most. */
  memoryMiB: { start: number; now: number; most: number };
  /** Why the run failed, if it did. */
  failure?: string;
  /** What was sent last, where the server has died. */
  suspects: Uint8Array[];
}

const MAX_REQUEST_BYTES = 256 * 1024;

/**
 * What the server may take: an empty one takes 80 MiB, the queues and results may hold 16 MiB, the requests of all
 * hostile connections 128 × 256 KiB, and the rest is for the collector of garbage.
 */
const MAX_MEMORY_MIB = 400;

const MIB = 1024 * 1024;
const SERVER_ARGS = [
  ...["--delay-factor", "0", "--max-request-bytes", String(MAX_REQUEST_BYTES)],
  ...["--queue-bytes", String(8 * MIB), "--keep-bytes", String(8 * MIB)],
];

const MAX_SUSPECTS = 300;
const PROGRESS_MS = 1_000;

/** Resolves when it is enough, or at the first failure. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, isEnough, hostile, good } = options;
  await using server = await startServer("tasks-server", SERVER_ARGS);
  const { port, program } = server;
  const start = await residentMiB(program.pid);
  const report: FuzzReport = {
    inputs: 0,
    bytes: 0,
    replies: 0,
    memoryMiB: { start, now: start, most: start },
    suspects: [],
  };
  const stop = new AbortController();
  const fail = (why: string) => {
    report.failure ??= why;
    stop.abort();
  };
  program.status.then(({ code, signal }) => {
    if (!stop.signal.aborted) {
      fail(`the server ended with ${signal ?? code}:\n${program.stderr.slice(-20).join("\n")}`);
    }
  });
  const onSend = (bytes: Uint8Array) => {
    report.inputs++;
    report.bytes += bytes.length;
    report.suspects.push(bytes);
    if (report.suspects.length > MAX_SUSPECTS) report.suspects.shift();
  };
  const clients = [
    ...Array.from({ length: hostile }, (_, i) =>
      beHostile({
        port,
        random: new Random(`${seed} hostile ${i}`),
        maxRequestBytes: MAX_REQUEST_BYTES,
        signal: stop.signal,
        onSend,
      })),
    ...Array.from(
      { length: good },
      (_, i) =>
        beGood(port, new Random(`${seed} good ${i}`), stop.signal, () => report.replies++)
          .catch((error) => fail(`good client ${i}: ${error.message}`)),
    ),
  ];
  while (!isEnough(report) && !stop.signal.aborted) {
    await delay(PROGRESS_MS);
    report.memoryMiB.now = await residentMiB(program.pid);
    report.memoryMiB.most = Math.max(report.memoryMiB.most, report.memoryMiB.now);
    if (report.memoryMiB.now > MAX_MEMORY_MIB) fail(`the server takes ${report.memoryMiB.now} MiB`);
    options.onProgress?.(report);
  }
  stop.abort();
  await Promise.all(clients);
  return report;
}
