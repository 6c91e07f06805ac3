/**
 * How fast tasks-server is: requests per second, tasks per second, the wait for a result, memory over many tasks.
 *
 * The server is a process of its own, started as its users start it; this process is its clients. Both share the
 * machine, so each line says how busy either side was: the one near 100 % of a core set the pace.
 *
 * deno task bench:tasks
 */

import { cpuUsage } from "node:process";
import { startServer } from "../tests/support/program.ts";

const CONNECTIONS = 50;
const PIPELINED = 16;
const SECONDS = 4;
const ECHO = '{"type":"run","task_name":"echo","data":"hello"}\n';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A client that only counts lines, to cost as little as it can. */
class Peer implements Disposable {
  readonly #buffer = new Uint8Array(16 * 1024);

  private constructor(readonly conn: Deno.TcpConn) {}

  static async connect(port: number): Promise<Peer> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay();
    return new Peer(conn);
  }

  /** Sends requests and waits for as many replies; returns the text of the last read. */
  async ask(requests: Uint8Array<ArrayBuffer>, replies: number): Promise<Uint8Array> {
    for (let sent = 0; sent < requests.length;) sent += await this.conn.write(requests.subarray(sent));
    for (;;) {
      const length = await this.conn.read(this.#buffer);
      if (length === null) throw new Error("the server closed the connection");
      for (let i = 0; i < length; i++) if (this.#buffer[i] === 10) replies--;
      if (replies <= 0) return this.#buffer.subarray(0, length);
    }
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

interface Load {
  name: string;
  /** One turn of one client; returns how many units of work it did. */
  turn: (peer: Peer) => Promise<number>;
  unit: string;
  connections?: number;
}

/** Lets the clients take turns for a while and prints the rate. */
async function measure(
  server: { port: number; pid: number },
  { name, turn, unit, connections = CONNECTIONS }: Load,
) {
  const peers = await Promise.all(Array.from({ length: connections }, () => Peer.connect(server.port)));
  const before = { server: mainThreadMs(server.pid), load: cpuUsage() };
  const start = performance.now();
  let done = 0;
  await Promise.all(peers.map(async (peer) => {
    while (performance.now() - start < SECONDS * 1000) {
      const units = await turn(peer); // `done += await …` would add to what `done` was before the wait
      done += units;
    }
  }));
  const elapsedMs = performance.now() - start;
  const load = cpuUsage(before.load);
  const busy = {
    server: (mainThreadMs(server.pid) - before.server) / elapsedMs,
    load: (load.user + load.system) / 1000 / elapsedMs,
  };
  peers.forEach((peer) => peer[Symbol.dispose]());
  const rate = Math.round(done / elapsedMs * 1000).toLocaleString("en").padStart(9);
  console.log(
    `${name.padEnd(58)} ${rate} ${unit.padEnd(10)} server ${percent(busy.server)}, load ${
      percent(busy.load)
    }` +
      ` -> ${busy.server >= busy.load ? "server" : "load"} set the pace`,
  );
}

/** The CPU time of the thread that talks to clients (and executes no tasks). */
function mainThreadMs(pid: number): number {
  const fields = proc(`${pid}/task/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10; // utime and stime, in ticks of 10 ms
}

function residentMib(pid: number): number {
  return Number(proc(`${pid}/status`).match(/VmRSS:\s+(\d+)/)![1]) / 1024;
}

/** A file of /proc; by `cat`, since Deno itself reads there only with all permissions. */
function proc(path: string): string {
  return decoder.decode(new Deno.Command("cat", { args: [`/proc/${path}`] }).outputSync().stdout);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`.padStart(5);
}

const status = encoder.encode('{"type":"status","task_id":1}\n');
const statuses = encoder.encode('{"type":"status","task_id":1}\n'.repeat(PIPELINED));
const run = encoder.encode(ECHO);
const runs = encoder.encode(ECHO.repeat(PIPELINED));

/** Runs a batch of echo tasks and waits until the last has ended. */
async function execute(peer: Peer): Promise<number> {
  const replies = decoder.decode(await peer.ask(runs, PIPELINED));
  const last = replies.slice(replies.lastIndexOf(":") + 1, replies.lastIndexOf("}"));
  await peer.ask(encoder.encode(`{"type":"status","task_id":${last}}\n`), 1);
  return PIPELINED;
}

{
  // a queue that takes all that comes, so that `run` measures the reply and not the refusal
  await using server = await startServer("tasks-server", [
    "--queue-limit",
    "10000000",
    "--queue-bytes",
    "1000000000",
  ]);
  const target = { port: server.port, pid: server.program.pid };
  using first = await Peer.connect(server.port);
  await first.ask(run, 1);
  console.log(`${CONNECTIONS} connections, ${SECONDS} s each`);
  await measure(target, {
    name: "status, one in flight",
    unit: "requests/s",
    turn: async (peer) => (await peer.ask(status, 1), 1),
  });
  await measure(target, {
    name: `status, ${PIPELINED} pipelined`,
    unit: "requests/s",
    turn: async (peer) => (await peer.ask(statuses, PIPELINED), PIPELINED),
  });
  await measure(target, {
    name: "run, one in flight",
    unit: "requests/s",
    turn: async (peer) => (await peer.ask(run, 1), 1),
  });
  await measure(target, {
    name: `run, ${PIPELINED} pipelined`,
    unit: "requests/s",
    turn: async (peer) => (await peer.ask(runs, PIPELINED), PIPELINED),
  });
}

{
  await using server = await startServer("tasks-server");
  const target = { port: server.port, pid: server.program.pid };
  await measure(target, {
    name: "echo tasks, from run to the waiter's reply",
    unit: "tasks/s",
    turn: execute,
  });

  using peer = await Peer.connect(server.port);
  const waits: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const reply = decoder.decode(await peer.ask(run, 1));
    const start = performance.now();
    await peer.ask(encoder.encode(`{"type":"status","task_id":${reply.match(/\d+/)![0]}}\n`), 1);
    waits.push(performance.now() - start);
  }
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.floor(share * (waits.length - 1))]!.toFixed(3);
  console.log(`status that waits for an echo task: median ${at(0.5)} ms, 99 % within ${at(0.99)} ms`);
}

{
  await using server = await startServer("tasks-server");
  const peers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Peer.connect(server.port)));
  const memory: string[] = [];
  for (let done = 0, next = 100_000; next <= 1_000_000; next += 100_000) {
    await Promise.all(peers.map(async (peer) => {
      while (done < next) {
        const tasks = await execute(peer);
        done += tasks;
      }
    }));
    memory.push(residentMib(server.program.pid).toFixed(0));
  }
  peers.forEach((peer) => peer[Symbol.dispose]());
  console.log(`memory after each 100,000 of 1,000,000 echo tasks: ${memory.join(", ")} MiB`);
}
