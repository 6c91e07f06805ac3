/** Every descriptor comes back: of peers that reset, that come and go, and at the limit of the process. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { sessionsOf, untilListed } from "../support/cluster.ts";
import { metricOf } from "../support/metrics.ts";
import { openDescriptors, residentMiB } from "../support/process.ts";
import { commandOf, Program, type Server } from "../support/program.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { freePort } from "../support/ports.ts";
import { startOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";

const AT_ONCE = 100;

/** How often peers reset until a tenth of a hundred descriptors has surely been lost, and counted 10 s later. */
const MAX_ROUNDS = 150;

/** When a peer resets its connection. */
const MOMENTS = [
  "after half a request",
  "after the request",
  "a turn later",
  "with the answer",
  "with the session_id",
];

/** Connects, resets at that moment, and resolves when the socket is gone. */
function reset(port: number, moment: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const cut = () => socket.resetAndDestroy();
    socket.on("error", () => {}).on("close", () => resolve());
    const head =
      "GET /?client_id=reset HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    const rest = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c29sbyB0ZXN0IGtleSAxMg==\r\n\r\n";
    switch (moment) {
      case "after half a request":
        socket.write(head, cut);
        break;
      case "after the request":
        socket.write(head + rest, cut);
        break;
      case "a turn later":
        socket.write(head + rest, () => setImmediate(cut));
        break;
      case "with the answer":
        socket.once("data", cut);
        socket.write(head + rest);
        break;
      case "with the session_id": {
        let received = 0;
        socket.on("data", (bytes) => {
          received += bytes.length;
          if (received > 150) cut();
        });
        socket.write(head + rest);
      }
    }
  });
}

async function resets(port: number, count: number, moments = MOMENTS): Promise<void> {
  for (let done = 0; done < count; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => reset(port, moments[i % moments.length]!)));
  }
}

Deno.test("node: of 5,000 resets at every moment of the upgrade no descriptor is left, and nobody else notices", async () => {
  await using server = await startOn("node");
  await using witness = await WsClient.establish(server.port, "witness");
  const before = await openDescriptors(server.program.pid);
  await resets(server.port, 5_000);
  await until(
    async () => await openDescriptors(server.program.pid) <= before + 1,
    "every descriptor is closed",
  );
  assert.equal((await untilListed(server.port, ["witness"])).get("witness"), await witness.sessionId);
  assert.equal(await metricOf(server.port, "solo_sockets_lost"), 0);
  assert.ok(witness.isOpen);
});

Deno.test("deno: resets during the upgrade lose descriptors, which is counted; worn out, it drains and exits with 75", async () => {
  await using server = await startOn("deno", ["--max-connections", "100"]);
  const client = await WsClient.establish(server.port, "client");
  let ended = false;
  server.program.status.then(() => ended = true);
  // A reset costs a descriptor where the request was read before it and not answered yet: how many hit that is chance.
  for (let round = 0; round < MAX_ROUNDS && !ended; round++) {
    await resets(server.port, AT_ONCE, ["after the request", "a turn later"]).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.ok(ended, "it is worn out; if nothing is lost any more, this row can go");
  await server.program.line(/lost \d+ descriptors to peers that reset/);
  assert.equal((await client.end()).code, 1001, "who is connected is told to connect again");
  assert.equal((await server.program.status).code, 75);
});

for (const transport of TRANSPORTS) {
  Deno.test(`${transport}: 10,000 sockets opened, replaced and dropped leave no entry, descriptor or memory`, async () => {
    // V8 collects late where there is room: with little, what grows is what is kept
    const [deno, run, ...rest] = commandOf("ws-server");
    const command = [deno!, run!, "--v8-flags=--max-old-space-size=48,--max-semi-space-size=1", ...rest];
    await using server = await startOn(transport, [], { command });
    const { program: { pid }, port } = server;
    const idle = await openDescriptors(pid);
    const memory: number[] = [];
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 2000; i += AT_ONCE) {
        const sockets = await Promise.all(
          Array.from({ length: AT_ONCE }, async (_, n) => {
            const socket = await RawWebSocket.connect(port, `client ${n % 50}`); // every second replaces another
            await socket.frame();
            return socket;
          }),
        );
        for (const socket of sockets) socket[Symbol.dispose]();
      }
      await untilListed(port, []);
      await until(async () => await openDescriptors(pid) <= idle + 5, "every descriptor is closed");
      memory.push(await residentMiB(pid));
    }
    await until(async () => await metricOf(port, "solo_connections") === 0, "no connection is left");
    for (const gauge of ["solo_sessions_established", "solo_sockets_lost"]) {
      assert.equal(await metricOf(port, gauge), 0, gauge);
    }
    const growth = memory.at(-1)! / memory[1]!;
    assert.ok(growth < 1.25, `memory after each round, MiB: ${memory.join(", ")}`);
  });

  Deno.test(`${transport} at the descriptor limit: those connected stay, and it accepts again by itself`, async () => {
    await using server = await startLimited(transport);
    const { port } = server;
    const clients = await Promise.all(
      Array.from({ length: 10 }, (_, i) => WsClient.establish(port, `client ${i}`)),
    );
    const connections: Deno.Conn[] = [];
    const limit = async () => await openDescriptors(server.program.pid) >= DESCRIPTORS - 1;
    for (let i = 0; i < 2 * DESCRIPTORS; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined); // or refused
      if (connection) connections.push(connection);
    }
    await until(limit, "it has no descriptor left");
    assert.ok(clients.every((client) => client.isOpen), "those connected stay");
    for (const connection of connections) connection.close();
    clients.push(await connected(port, "next"));
    assert.ok(clients.every((client) => client.isOpen));
    assert.equal((await sessionsOf(port)).size, clients.length);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });
}

const DESCRIPTORS = 100;

/** A server that may open few files. */
async function startLimited(transport: TransportName): Promise<Server> {
  const port = freePort();
  const args = ["--host", "127.0.0.1", "--port", String(port), "--redis", "off", "--max-connections", "1000"];
  const program = new Program("ws-server", [...args, "--transport", transport], {
    command: ["sh", "-c", `ulimit -n ${DESCRIPTORS}; exec "$@"`, "sh", ...commandOf("ws-server")],
  });
  await program.line(/listening on/);
  return { program, port, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** Connects, at the latest when the server accepts again. */
async function connected(port: number, clientId: string): Promise<WsClient> {
  let client: WsClient | undefined;
  await until(
    async () => {
      client = await WsClient.establish(port, clientId).catch(() => undefined);
      return client !== undefined;
    },
    "it accepts again",
  );
  return client!;
}
