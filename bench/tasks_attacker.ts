/** One client that does its worst to a tasks-server, as a process of its own: see tasks_attacks.ts. */

import { setImmediate } from "node:timers/promises";
import { Peer } from "./support/tasks_peer.ts";
import { answerRequests } from "./support/worker_process.ts";

const MIB = 1024 * 1024;
const encoder = new TextEncoder();

/** What it may do, each until the connection ends or the time is over; returns how many requests it made. */
const ATTACKS: Record<string, (port: number, end: number) => Promise<number>> = {
  "none": () => Promise.resolve(0),
  "pipelines stats without end": (port, end) => flood(port, end, '{"type":"stats"}\n'),
  "pipelines list": (port, end) => flood(port, end, '{"type":"list"}\n'),
  "pipelines results of 1 MiB": async (port, end) => {
    const id = await run(port, "echo", "x".repeat(MIB - 100));
    return await flood(port, end, `{"type":"get_result","task_id":${id}}\n`);
  },
  "run and cancel in turn": runAndCancel,
  "requests of 1 MiB of nested arrays": (port, end) =>
    send(port, end, `{"type":"list","x":${"[".repeat(MIB / 2 - 20)}${"]".repeat(MIB / 2 - 20)}}\n`),
  "requests of 1 MiB of small objects": (port, end) =>
    send(port, end, `{"type":"list","x":[${objects(MIB - 100)}]}\n`),
  "requests of 1 MiB of text": (port, end) =>
    send(port, end, `{"type":"run","task_name":"echo","data":"${"ы".repeat(MIB / 2 - 100)}"}\n`),
  "revers of 1 MiB, cancelled while it works": cancelWork,
};

export const ATTACK_NAMES = Object.keys(ATTACKS);

/** Objects with keys that differ: what costs JSON.parse most. */
function objects(length: number): string {
  const parts: string[] = [];
  for (let i = 0, sum = 0; sum < length; i++) {
    const part = `{"${i.toString(36)}":1}`;
    parts.push(part);
    sum += part.length + 1;
  }
  return parts.slice(0, -1).join(",");
}

/** The same request again and again, with as many under way as the connection holds. */
async function flood(port: number, end: number, request: string): Promise<number> {
  using peer = await Peer.connect(port);
  const requests = encoder.encode(request.repeat(1000));
  setTimeout(() => peer[Symbol.dispose](), end - performance.now());
  let rounds = 0;
  (async () => {
    for (;; rounds++) {
      await peer.send(requests);
      await setImmediate(); // a write that need not wait would let nothing else happen here
    }
  })().catch(() => {});
  await peer.drain().catch(() => {}); // a write that waits is not told of the end (Deno 2.9.6), a read is
  return rounds * 1000;
}

/** One large request after another; on a new connection where the server closes. */
async function send(port: number, end: number, request: string): Promise<number> {
  const bytes = encoder.encode(request);
  let sent = 0;
  while (performance.now() < end) {
    using peer = await Peer.connect(port);
    try {
      while (performance.now() < end) {
        await peer.ask(bytes, 1);
        sent++;
      }
    } catch {
      sent++; // the server has closed
    }
  }
  return sent;
}

async function run(port: number, name: string, data: string): Promise<number> {
  using peer = await Peer.connect(port);
  const id = idIn(await peer.ask(encoder.encode(JSON.stringify({ type: "run", task_name: name, data })), 1));
  await peer.ask(encoder.encode(`{"type":"status","task_id":${id},"wait":true}\n`), 1);
  return id;
}

function idIn(reply: Uint8Array): number {
  return Number(new TextDecoder().decode(reply).match(/"task_id":(\d+)/)![1]);
}

async function runAndCancel(port: number, end: number): Promise<number> {
  using peer = await Peer.connect(port);
  const request = encoder.encode('{"type":"run","task_name":"too_long_echo","data":"x"}\n');
  let rounds = 0;
  for (; performance.now() < end; rounds++) {
    const id = idIn(await peer.ask(request, 1));
    await peer.ask(encoder.encode(`{"type":"cancel","task_id":${id}}\n`), 1);
  }
  return rounds;
}

/** Needs a server without simulated durations, so that the work begins at once. */
async function cancelWork(port: number, end: number): Promise<number> {
  using peer = await Peer.connect(port);
  const request = encoder.encode(
    JSON.stringify({ type: "run", task_name: "revers", data: "ы".repeat(MIB / 2 - 100) }),
  );
  let rounds = 0;
  for (; performance.now() < end; rounds++) {
    const id = idIn(await peer.ask(request, 1));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await peer.ask(encoder.encode(`{"type":"cancel","task_id":${id}}\n`), 1);
  }
  return rounds;
}

if (import.meta.main) {
  await answerRequests(async ({ attack, port, ms }: { attack: string; port: number; ms: number }) =>
    await ATTACKS[attack]!(port, performance.now() + ms)
  );
}
