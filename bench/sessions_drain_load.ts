/** Clients that do what the reason of a close says, in a process of their own. */

import { setTimeout as delay } from "node:timers/promises";
import { LoadClient } from "./support/load_client.ts";
import { answerRequests } from "./support/worker_process.ts";

export type DrainRequest =
  /** Where clients connect from now on. */
  | { kind: "ready"; ports: number[] }
  /** Opens sessions, which come back for ever; answers when all are established. */
  | { kind: "open"; count: number; inFlight: number }
  /** Answers how many are established now. */
  | { kind: "established" }
  /** Begins anew with what is reported. */
  | { kind: "forget" }
  /** Answers with what has happened since. */
  | { kind: "report" };

/** When what happened, ms of one clock, and how long it took. */
export interface DrainReport {
  closedAtMs: number[];
  connectsAtMs: number[];
  /** From a close frame to the next session_id. */
  gapsMs: number[];
  /** The same less the wait that the client drew. */
  beyondMs: number[];
  /** The longest waits that closes have named. */
  withinS: number[];
  /** Attempts that ended without a session_id, and sessions that ended in another way. */
  failed: number;
}

/** After a failure, which must not happen. */
const FAILURE_PAUSE_MS = 1000;

let ready: number[] = [];
let turn = 0;
let established = 0;
let report = nothing();

function nothing(): DrainReport {
  return { closedAtMs: [], connectsAtMs: [], gapsMs: [], beyondMs: [], withinS: [], failed: 0 };
}

/** Connects until there is a session. */
async function connect(clientId: string): Promise<LoadClient> {
  for (;;) {
    report.connectsAtMs.push(performance.now());
    try {
      const client = await LoadClient.connect(ready[turn++ % ready.length]!, clientId);
      established++;
      return client;
    } catch (error) {
      if (report.failed++ === 0) console.error(String(error));
      await delay(FAILURE_PAUSE_MS);
    }
  }
}

async function comeBack(client: LoadClient, clientId: string): Promise<void> {
  for (;;) {
    const code = await client.hold();
    const closedAtMs = client.closedAtMs || performance.now();
    established--;
    report.closedAtMs.push(closedAtMs);
    const withinS = Number(/; reconnect within (\d+) s$/.exec(client.reason)?.[1]);
    if (code !== 1001 || Number.isNaN(withinS)) {
      if (report.failed++ === 0) console.error(`closed with ${code} ${client.reason}`);
    } else if (!report.withinS.includes(withinS)) report.withinS.push(withinS);
    const waitMs = Math.random() * 1000 * (withinS || 1);
    await delay(waitMs);
    client = await connect(clientId);
    const gapMs = performance.now() - closedAtMs;
    report.gapsMs.push(gapMs);
    report.beyondMs.push(gapMs - waitMs);
  }
}

async function open({ count, inFlight }: DrainRequest & { kind: "open" }): Promise<void> {
  let left = count;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (left > 0) {
      const clientId = `drain-${left--}`;
      comeBack(await connect(clientId), clientId);
    }
  }));
}

await answerRequests((request: DrainRequest) => {
  switch (request.kind) {
    case "ready":
      ready = request.ports;
      return;
    case "open":
      return open(request);
    case "established":
      return established;
    case "forget":
      report = nothing();
      return;
    case "report":
      return report;
  }
});
