/** Clients that connect all at the same moment, in a process of their own. */

import { setTimeout as delay } from "node:timers/promises";
import { answerRequests } from "./support/worker_process.ts";
import { LoadClient } from "./support/load_client.ts";

/** How many TCP connections are made at a time, before any client asks for its session. */
const CONNECTS_IN_FLIGHT = 200;

/** For a client that was sent away. */
const MAX_ATTEMPTS = 50;
const RETRY_MS = 200;

export type OverlapRequest =
  /**
   * `count` clients, named by their number, connect at once, the one with the number n to `ports[n % ports.length]`, and hold
   * their sessions. Answers when they have asked; whoever was there before is still held.
   */
  | { kind: "arrive"; prefix: string; count: number; ports: number[] }
  /** Answers, when all who arrived last have their session_id, with how many they are. */
  | { kind: "established" }
  /** Ends all. */
  | { kind: "leave" };

let arriving: Promise<LoadClient[]> = Promise.resolve([]);
const all: LoadClient[] = [];

async function arrive({ prefix, count, ports }: OverlapRequest & { kind: "arrive" }): Promise<void> {
  const conns: Deno.TcpConn[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: CONNECTS_IN_FLIGHT }, async () => {
    for (let i = next++; i < count; i = next++) {
      conns[i] = await Deno.connect({ hostname: "127.0.0.1", port: ports[i % ports.length]! });
    }
  }));
  arriving = Promise.all(conns.map(async (conn, i) => {
    const client = await persist(conn, ports[i % ports.length]!, `${prefix}-${i}`);
    client.hold();
    all.push(client);
    return client;
  }));
  arriving.catch(() => {}); // whoever asks for it hears of it
}

/** A server that is short of time may lose its lease and send everyone away for a moment. */
async function persist(conn: Deno.TcpConn, port: number, clientId: string): Promise<LoadClient> {
  for (let attempt = 1;; attempt++) {
    try {
      return await LoadClient.enter(conn, port, clientId);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS) throw error;
      await delay(RETRY_MS);
      conn = await Deno.connect({ hostname: "127.0.0.1", port });
    }
  }
}

await answerRequests(async (request: OverlapRequest) => {
  switch (request.kind) {
    case "arrive":
      return await arrive(request);
    case "established":
      return (await arriving).length;
    case "leave":
      await Promise.all(all.splice(0).map((client) => client.close()));
  }
});
