/** Clients that connect all at the same moment, in a process of their own. */

import { answerRequests } from "./support/worker_process.ts";
import { LoadClient } from "./support/load_client.ts";

/** How many TCP connections are made at a time, before any client asks for its session. */
const CONNECTS_IN_FLIGHT = 200;

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
    const client = await LoadClient.enter(conn, ports[i % ports.length]!, `${prefix}-${i}`);
    client.hold();
    all.push(client);
    return client;
  }));
  arriving.catch(() => {}); // whoever asks for it hears of it
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
