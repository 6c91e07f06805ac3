/** At the limits of connections and descriptors, and at the end of a process. */

import assert from "node:assert/strict";
import { Cluster, sessionsOf, untilListed, untilReady } from "../support/cluster.ts";
import { startServer, unlessOlderRuntime } from "../support/program.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { startOn, testOn, TRANSPORTS } from "../support/transports.ts";
import { WsClient } from "../support/ws_client.ts";

async function closeAll(clients: WsClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

async function readinessOf(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.body?.cancel();
  return response.status;
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server --max-connections, ${transport}: refuses the surplus with 503, keeps the others, and recovers`,
    ),
    fn: async () => {
      await using server = await startOn(transport, ["--max-connections", "5"]);
      const clients = await Promise.all(
        Array.from({ length: 5 }, (_, i) => WsClient.establish(server.port, `client ${i}`)),
      );
      for (let i = 0; i < 3; i++) {
        using surplus = await RawWebSocket.connect(server.port, "surplus", { anyStatus: true });
        assert.equal(surplus.answer.status, 503);
        assert.equal(surplus.answer.headers.get("retry-after"), "1");
      }
      assert.equal(await readinessOf(server.port), 503, "a balancer sends no one here");
      assert.ok(clients.every((client) => client.isOpen));
      await clients.pop()![Symbol.asyncDispose]();
      await untilReady(server.port); // one has left, and its descriptor is free
      await untilListed(server.port, clients.map(({ clientId }) => clientId));
      clients.push(await WsClient.establish(server.port, "next"));
      assert.equal((await sessionsOf(server.port)).size, 5);
      await closeAll(clients);
    },
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server on SIGTERM, ${transport}: says so, waits, closes with 1001, leaves no entry, exits 0`,
    ),
    fn: async () => {
      const args = ["--drain-delay", "3", "--transport", transport];
      await using cluster = await Cluster.start({ nodes: 2, args });
      const [leaving, staying] = cluster.servers;
      // with deno a PONG in the moment of the close may cost the close frame
      const options = { answersPings: false };
      const clients = await Promise.all(
        Array.from({ length: 250 }, (_, i) => RawWebSocket.connect(leaving!.port, `client ${i}`, options)),
      );
      using stack = new DisposableStack();
      for (const client of clients) await stack.use(client).text();
      let closed = 0;
      const ends = clients.map((client) => client.close().finally(() => closed++));
      leaving!.program.kill("SIGTERM");
      await leaving!.program.line(/SIGTERM: shutting down/);
      const ready = await fetch(`http://127.0.0.1:${leaving!.port}/readyz`);
      assert.deepEqual([ready.status, await ready.text()], [503, "draining\n"]);
      using refused = await RawWebSocket.connect(leaving!.port, "late", { anyStatus: true });
      assert.equal(refused.answer.status, 503);
      assert.equal(closed, 0, "nobody is closed during the delay");
      for (const { code } of await Promise.all(ends)) assert.equal(code, 1001);
      assert.equal((await leaving!.program.status).code, 0);
      assert.equal((await sessionsOf(staying!.port)).size, 0, "gone at once, not after a lease");
    },
  });
}

Deno.test("ws-server --drain-rate: where there is no time for it clients are told to come back at that rate", async () => {
  // the least that may be left beside the delay is enough
  const args = ["--redis", "off", "--drain-rate", "1", "--drain-delay", "1", "--shutdown-timeout", "2"];
  await using server = await startServer("ws-server", args);
  const clients = await Promise.all(
    Array.from({ length: 10 }, (_, i) => WsClient.establish(server.port, `client ${i}`)),
  );
  server.program.kill("SIGTERM");
  const reason = "the server is going away; reconnect within 10 s";
  for (const client of clients) assert.deepEqual(await client.end(), { code: 1001, reason });
  assert.equal(await server.program.end(), 0);
});

Deno.test("ws-server on a second signal: exits at once", async () => {
  const args = ["--redis", "off", "--drain-delay", "3600", "--shutdown-timeout", "3700"];
  await using server = await startServer("ws-server", args);
  server.program.kill("SIGINT");
  await server.program.line(/SIGINT: shutting down/);
  assert.equal(await server.program.stop("SIGINT"), 1);
});

Deno.test(
  unlessOlderRuntime(
    "ws-server --shutdown-timeout: ends in time whatever clients do",
    "the base runtime does not end a wait on a timeout",
  ),
  async () => {
    for (const transport of TRANSPORTS) {
      await using server = await startOn(transport, ["--shutdown-timeout", "1"]);
      using client = await RawWebSocket.connect(server.port, "kim", { answersClose: false });
      await client.text();
      assert.equal(await server.program.stop("SIGTERM"), 0);
      assert.equal((await client.close()).code, 1001);
      // one that does not answer would otherwise be waited for twice as long, and then be gone
      assert.match(server.program.text.stderr, /no time left: dropping 1 connections/, transport);
    }
  },
);
