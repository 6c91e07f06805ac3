/** Memory over many tasks. */

import { startServer } from "../tests/support/program.ts";
import { residentBytes } from "./support/process_usage.ts";
import { printHeading } from "./support/report.ts";
import { Peer } from "./support/tasks_peer.ts";
import { executeEchoes } from "./tasks_throughput.ts";

const CONNECTIONS = 50;
const STEP = 100_000;
const TASKS = 1_000_000;

/** Prints the resident memory of the server after each of ten steps. */
export async function benchMemory(): Promise<void> {
  printHeading(`Memory after each ${STEP.toLocaleString("en")} of ${TASKS.toLocaleString("en")} echo tasks`);
  await using server = await startServer("tasks-server");
  const peers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Peer.connect(server.port)));
  const memory: string[] = [];
  for (let done = 0, next = STEP; next <= TASKS; next += STEP) {
    await Promise.all(peers.map(async (peer) => {
      while (done < next) {
        const tasks = await executeEchoes(peer);
        done += tasks;
      }
    }));
    memory.push((residentBytes(server.program.pid) / 1024 / 1024).toFixed(0));
  }
  peers.forEach((peer) => peer[Symbol.dispose]());
  console.log(`  ${memory.join(", ")} MiB`);
}
