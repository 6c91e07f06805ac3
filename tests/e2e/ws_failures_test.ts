/** Processes, clients and Redis that are killed, stopped and continued: each promise holds. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster, ENDING_LEASE_S, sessionsOf, untilListed, untilReady } from "../support/cluster.ts";
import { unlessOlderRuntime } from "../support/program.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { TRANSPORTS } from "../support/transports.ts";
import { ENDING_LEASE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const TRY_AGAIN = 1013;
/** What a client sees where the process was too busy for a word before the lease was over. */
const CUT = 0;

async function statusOf(port: number, path: string, method = "GET"): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  await response.body?.cancel();
  return response.status;
}

async function upgradeAnswer(
  port: number,
  clientId: string,
): Promise<{ status: number; retryAfter: string | null }> {
  using socket = await RawWebSocket.connect(port, clientId, { anyStatus: true });
  return { status: socket.answer.status, retryAfter: socket.answer.headers.get("retry-after") };
}

Deno.test("ws-server killed: its sessions are gone everywhere within one lease, and its clients can come back", async () => {
  await using cluster = await Cluster.start({ leaseS: ENDING_LEASE_S });
  await using stays = await WsClient.establish(cluster.port(0), "stays");
  await using orphan = await WsClient.establish(cluster.port(1), "orphan");
  await untilListed(cluster.port(2), ["stays", "orphan"]);
  cluster.servers[1]!.program.kill("SIGKILL");
  assert.notEqual((await orphan.end()).code, 4409);
  const comeback = WsClient.establish(cluster.port(2), "orphan"); // while the lease of the dead lasts
  comeback.catch(() => {}); // it is awaited below
  await cluster.redis.passes(ENDING_LEASE_MS);
  for (const index of [0, 2]) {
    assert.notEqual((await sessionsOf(cluster.port(index))).get("orphan"), await orphan.sessionId);
  }
  await using back = await comeback;
  for (const index of [0, 2]) {
    assert.deepEqual(
      new Map(await sessionsOf(cluster.port(index))),
      new Map([["stays", await stays.sessionId], ["orphan", await back.sessionId]]),
    );
  }
});

Deno.test("ws-server stopped for longer than the lease: it ends its sessions before it sends anything else", async () => {
  await using cluster = await Cluster.start({ leaseS: ENDING_LEASE_S });
  const stopped = cluster.servers[1]!;
  using zombie = await RawWebSocket.connect(stopped.port, "kim");
  const { text: zombieId } = await zombie.text();
  using other = await RawWebSocket.connect(stopped.port, "only here");
  await other.text();
  stopped.program.kill("SIGSTOP");
  const successor = await WsClient.establish(cluster.port(0), "kim"); // when the lease is over
  await zombie.send(OPCODES.text, "anybody there?");
  await until(
    async () => !(await sessionsOf(cluster.port(2))).has("only here"),
    "its other session is not listed",
  );
  await delay(500);
  stopped.program.kill("SIGCONT");
  for (const socket of [zombie, other]) {
    assert.equal(await socket.frame(), undefined, "it is cut: there is no time left for a word");
  }
  await untilReady(stopped.port);
  assert.equal((await sessionsOf(stopped.port)).get("kim"), await successor.sessionId);
  assert.notEqual(await successor.sessionId, zombieId);
  assert.equal(successor.isOpen, true);
  await using back = await WsClient.establish(stopped.port, "only here");
  assert.ok(back.isOpen);
  await successor[Symbol.asyncDispose]();
});

Deno.test("ws-server stopped for longer than the lease: not even a PING that is due comes before the end", async () => {
  await using cluster = await Cluster.start({ leaseS: ENDING_LEASE_S });
  const stopped = cluster.servers[1]!;
  using silent = await RawWebSocket.connect(stopped.port, "silent", { answersPings: false });
  await silent.text();
  await delay(1000);
  stopped.program.kill("SIGSTOP");
  await delay(ENDING_LEASE_MS + 500); // a PING was due meanwhile
  const wokenAtMs = performance.now();
  stopped.program.kill("SIGCONT");
  for (let frame; (frame = await silent.frame()) !== undefined;) { // on a busy machine a PING came before
    assert.ok(frame.atMs < wokenAtMs, `it is cut without a word, and not told opcode ${frame.opcode}`);
  }
});

Deno.test("Redis killed and back within the lease, its data lost: no client loses its connection", async () => {
  await using cluster = await Cluster.start();
  const clients = await Promise.all(
    Array.from({ length: 30 }, (_, i) => WsClient.establish(cluster.port(i % 3), `client ${i}`)),
  );
  const expected = new Map(
    await Promise.all(
      clients.map(async (client) => [client.clientId, await client.sessionId] as const),
    ),
  );
  await cluster.redis.kill();
  await delay(1_000); // the lease goes on for long
  await cluster.redis.restart();
  for (const { port } of cluster.servers) {
    const asBefore = async () => {
      if (await statusOf(port, "/readyz") !== 200) return false;
      const now = await sessionsOf(port);
      return now.size === expected.size && [...expected].every(([id, session]) => now.get(id) === session);
    };
    await until(asBefore, "every process lists every session as before");
  }
  assert.ok(clients.every((client) => client.isOpen), "everyone is still connected");
  // and the one rule still holds
  await using newer = await WsClient.establish(cluster.port(1), "client 0");
  assert.equal((await clients[0]!.end()).code, 4409);
  assert.ok(newer.isOpen);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

for (
  const [how, away, back] of [
    ["killed", (cluster: Cluster) => cluster.redis.kill(), (cluster: Cluster) => cluster.redis.restart()],
    ["silent", (cluster: Cluster) => cluster.redis.freeze(), (cluster: Cluster) => cluster.redis.thaw()],
  ] as const
) {
  Deno.test(`Redis ${how} for longer than the lease: sessions end with 1013, then all recovers by itself`, async () => {
    await using cluster = await Cluster.start({ leaseS: ENDING_LEASE_S });
    const clients = await Promise.all(
      Array.from({ length: 9 }, (_, i) => WsClient.establish(cluster.port(i % 3), `client ${i}`)),
    );
    await away(cluster);
    for (const { code } of await Promise.all(clients.map((client) => client.end()))) {
      assert.ok(code === TRY_AGAIN || code === CUT, `closed with ${code}`);
    }
    for (const { port, program } of cluster.servers) {
      if (how === "killed") await program.line(/Redis is still out of reach: "connect ECONNREFUSED/);
      assert.equal(await statusOf(port, "/healthz"), 200, "the process lives");
      assert.equal(await statusOf(port, "/readyz"), 503, "but is not ready");
      assert.equal(await statusOf(port, "/sessions"), 503);
      assert.equal(await statusOf(port, "/sessions", "HEAD"), 503);
      assert.deepEqual(await upgradeAnswer(port, "kim"), { status: 503, retryAfter: "1" });
    }
    await back(cluster);
    for (const { port } of cluster.servers) {
      await untilReady(port);
    }
    const again = await Promise.all(
      clients.map(({ clientId }, i) => WsClient.establish(cluster.port(i % 3), clientId)),
    );
    assert.deepEqual(
      await sessionsOf(cluster.port(0)),
      new Map(
        await Promise.all(again.map(async (client) => [client.clientId, await client.sessionId] as const)),
      ),
    );
    await Promise.all(again.map((client) => client[Symbol.asyncDispose]()));
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...unlessOlderRuntime(
      `a client that never answers the close is cut, and its successor established: ${transport}`,
      "the base runtime has no way to do it",
    ),
    fn: async () => {
      await using cluster = await Cluster.start({ args: ["--transport", transport] });
      using frozen = await RawWebSocket.connect(cluster.port(0), "kim", { answersClose: false });
      await frozen.text();
      await using successor = await WsClient.establish(cluster.port(1), "kim");
      assert.equal((await frozen.close()).code, 4409);
      assert.equal((await sessionsOf(cluster.port(2))).get("kim"), await successor.sessionId);
      await frozen.gone;
    },
  });
}
