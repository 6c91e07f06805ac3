/** The look-up of one client among few sessions and among very many. */

import { startServer } from "../tests/support/program.ts";
import { Redis } from "../tests/support/redis.ts";
import { fill, FILL_LEASE_MS } from "./sessions_listing.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median, quantile } from "./support/statistics.ts";

const COUNTS = [10, 100_000];
const ROUNDS = 9;
const LOOK_UPS = 200;

const OPERATOR_TOKEN = crypto.randomUUID();

export async function benchLookUp(): Promise<void> {
  printHeading(`Look-up: GET /sessions/<client_id>, ${ROUNDS} × ${LOOK_UPS} in turn, one at a time`);
  await using running = new AsyncDisposableStack();
  const ports: number[] = [];
  for (const count of COUNTS) {
    const redis = running.use(await Redis.start());
    await fill(redis, count);
    const args = ["--redis", redis.url, "--lease", String(FILL_LEASE_MS / 1000)];
    const { program, port } = await startServer("ws-server", args, {
      env: { SOLO_OPERATOR_TOKEN: OPERATOR_TOKEN },
    });
    running.use(program);
    ports.push(port);
  }
  const samples: number[][] = COUNTS.map(() => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, count] of COUNTS.entries()) {
      const took = await lookUp(ports[i]!, count);
      if (round > 0) samples[i]!.push(...took); // the first warms up
    }
  }
  printTable(
    ["", "p50", "p99"],
    COUNTS.map((count, i) => [
      `among ${count}`,
      `${median(samples[i]!).toFixed(2)} ms`,
      `${quantile(samples[i]!, 0.99).toFixed(2)} ms`,
    ]),
  );
  const ratio = median(samples[1]!) / median(samples[0]!);
  console.log();
  printAim(`a look-up among ${COUNTS[1]} at most 1.2× one among ${COUNTS[0]}: ${times(ratio)}`, ratio <= 1.2);
}

/** How long each of some look-ups took, ms. */
async function lookUp(port: number, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < LOOK_UPS; i++) {
    const clientId = `client-${Math.floor(Math.random() * count)}`;
    const startedAt = performance.now();
    const response = await fetch(`http://127.0.0.1:${port}/sessions/${clientId}`, {
      headers: { authorization: `Bearer ${OPERATOR_TOKEN}` },
    });
    const line = await response.text();
    took.push(performance.now() - startedAt);
    if (response.status !== 200 || !line.startsWith(`${clientId} `)) {
      throw new Error(`looking up ${clientId} was answered ${response.status} ${line}`);
    }
  }
  return took;
}
