/** How long after the end of its task a client that waits has its reply. */

import { startServer } from "../tests/support/program.ts";
import { printAim, printHeading } from "./support/report.ts";
import { quantile } from "./support/statistics.ts";
import { Peer } from "./support/tasks_peer.ts";

const TASKS = 5_000;
const AIM_MS = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const run = encoder.encode('{"type":"run","task_name":"echo","data":"hello"}\n');

/** An echo task ends at once, so the whole wait for it is the way to the reply. */
export async function benchWaits(): Promise<void> {
  printHeading(`A client that waits for an echo task, ${TASKS.toLocaleString("en")} times`);
  await using server = await startServer("tasks-server");
  using peer = await Peer.connect(server.port);
  const waits: number[] = [];
  for (let i = 0; i < TASKS; i++) {
    const reply = decoder.decode(await peer.ask(run, 1));
    const start = performance.now();
    await peer.ask(encoder.encode(`{"type":"status","task_id":${reply.match(/\d+/)![0]}}\n`), 1);
    waits.push(performance.now() - start);
  }
  const [half, most] = [quantile(waits, 0.5), quantile(waits, 0.99)];
  printAim(
    `99 % within ${AIM_MS} ms: ${most.toFixed(3)} ms, the median ${half.toFixed(3)} ms`,
    most < AIM_MS,
  );
}
