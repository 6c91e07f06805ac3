/** The clients of a server under test, in a process of their own. */

import { setTimeout as delay } from "node:timers/promises";
import { answerRequests } from "./support/worker_process.ts";
import { LoadClient } from "./support/load_client.ts";

/** Between bursts, so that the end of one is not in the way of the next. */
const PAUSE_MS = 20;

export type LoadRequest =
  /**
   * Opens sessions and keeps them; answers with the time that took, ms. With `tokens`, one for each, the n-th client is
   * `token-<n>`.
   */
  | { kind: "open"; port: number; count: number; inFlight: number; tokens?: string[] }
  /** Answers PINGs from now on. */
  | { kind: "hold" }
  /** Ends them all; answers when the server has. */
  | { kind: "close" }
  /**
   * `bursts` times `clients` connections at once, each burst to the next of `ports`; answers with the latencies, ms, from
   * connect to session_id. With `replace` each has a predecessor on the port before, which must hear of that;
   * without, the clients are new every time.
   */
  | { kind: "bursts"; ports: number[]; clients: number; bursts: number; replace: boolean };

let clients: LoadClient[] = [];
let serial = 0;

async function open({ port, count, inFlight, tokens }: LoadRequest & { kind: "open" }): Promise<number> {
  const startedAt = performance.now();
  let left = count;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (left-- > 0) {
      const clientId = tokens ? `token-${left}` : `bench-${Deno.pid}-${serial++}`;
      clients.push(await LoadClient.connect(port, clientId, tokens?.[left]));
    }
  }));
  return performance.now() - startedAt;
}

async function close(): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
}

async function bursts(
  { ports, clients: count, bursts, replace }: LoadRequest & { kind: "bursts" },
): Promise<number[]> {
  const latencies: number[] = [];
  let older: { client: LoadClient; ended: Promise<number> }[] = [];
  for (let burst = 0; burst <= bursts; burst++) {
    const port = ports[burst % ports.length]!;
    if (!replace) older = await leave(older);
    const prefix = `bench-${Deno.pid}-${replace ? "replaced" : serial++}`;
    const fresh = await Promise.all(Array.from({ length: count }, async (_, i) => {
      const startedAt = performance.now();
      const client = await LoadClient.connect(port, `${prefix}-${i}`);
      if (burst > 0) latencies.push(performance.now() - startedAt); // the first have no one to replace
      return { client, ended: client.hold() };
    }));
    for (const { ended } of older) {
      const code = await ended;
      if (code !== 4409) throw new Error(`an older session ended with ${code}, not 4409`);
    }
    older = fresh;
    await delay(PAUSE_MS);
  }
  await leave(older);
  return latencies;
}

async function leave(sessions: { client: LoadClient; ended: Promise<number> }[]): Promise<[]> {
  for (const { client } of sessions) client.closeNow();
  await Promise.all(sessions.map(({ ended }) => ended));
  return [];
}

await answerRequests((request: LoadRequest) => {
  switch (request.kind) {
    case "open":
      return open(request);
    case "hold":
      for (const client of clients) client.hold();
      return;
    case "close":
      return close();
    case "bursts":
      return bursts(request);
  }
});
