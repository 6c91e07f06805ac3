/** One live connection per client: what clients of real processes see. */

import assert from "node:assert/strict";
import { Random } from "../chaos/random.ts";
import { Cluster, sessionsOf, untilListed } from "../support/cluster.ts";
import { LoopLag } from "../support/loop_lag.ts";
import { startServer } from "../support/program.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { useSeed } from "../support/seed.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const REPLACED = { code: 4409, reason: "replaced by a newer connection" };
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

Deno.test("ws-server: of three clients with one id on three processes only the last stays", async () => {
  await using cluster = await Cluster.start();
  const clients: WsClient[] = [];
  for (const { port } of cluster.servers) clients.push(await WsClient.establish(port, "test1"));
  const [first, second, third] = clients;
  assert.deepEqual(await first!.end(), REPLACED);
  assert.deepEqual(await second!.end(), REPLACED);
  assert.equal(third!.isOpen, true);
  const sessionId = await third!.sessionId;
  assert.match(sessionId, UUID_V4);
  for (const { port } of cluster.servers) {
    const text = await (await fetch(`http://127.0.0.1:${port}/sessions`)).text();
    assert.equal(text, `test1 ${sessionId}\n`);
  }
  await third![Symbol.asyncDispose]();
  await untilListed(cluster.port(0), []); // the entry is gone with the socket
});

Deno.test("ws-server: one process needs no set-up, and says what that means", async () => {
  await using server = await startServer("ws-server"); // looks for a Redis at the usual place
  const said = await server.program.line(/no Redis at redis:\/\/127\.0\.0\.1:6379: (.*)|found Redis at/);
  if (said[1]) assert.match(said[1], /^sessions stay in this process; to run many processes/);
  const clientId = crypto.randomUUID(); // there may be a Redis, and others who use it
  await using older = await WsClient.establish(server.port, clientId);
  await using newer = await WsClient.establish(server.port, clientId);
  assert.deepEqual(await older.end(), REPLACED);
  assert.equal((await sessionsOf(server.port)).get(clientId), await newer.sessionId);
});

Deno.test("ws-server: --redis off never looks for one", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  assert.equal(server.program.stderr.filter((line) => /Redis/.test(line)).length, 0);
  await using client = await WsClient.establish(server.port, "kim");
  assert.equal((await sessionsOf(server.port)).get("kim"), await client.sessionId);
});

Deno.test("ws-server: /sessions as JSON names node, epoch and time of every session", async () => {
  await using cluster = await Cluster.start({ nodes: 2 });
  await using kim = await WsClient.establish(cluster.port(0), "kim");
  await using lee = await WsClient.establish(cluster.port(1), "two words 👋");
  const response = await fetch(`http://127.0.0.1:${cluster.port(0)}/sessions`, {
    headers: { accept: "application/json" },
  });
  assert.equal(response.headers.get("content-type"), "application/json");
  const entries: Record<string, string | number>[] = await response.json();
  const byClient = new Map(entries.map((entry) => [entry.client_id, entry]));
  assert.equal(byClient.get("kim")?.session_id, await kim.sessionId);
  assert.equal(byClient.get("two words 👋")?.session_id, await lee.sessionId);
  assert.notEqual(byClient.get("kim")?.node, byClient.get("two words 👋")?.node);
  for (const { node, epoch, connected_at } of entries) {
    assert.match(String(node), /^[0-9a-f]{8}$/);
    assert.ok(Number.isSafeInteger(epoch));
    assert.ok(Math.abs(Date.parse(String(connected_at)) - Date.now()) < 60_000);
  }
});

Deno.test("ws-server: the sessions of one client never overlap, also across processes and under load", async () => {
  await using cluster = await Cluster.start({ args: ["--takeover-limit", "0"] });
  const ids = Array.from({ length: 25 }, (_, i) => `client ${i}`);
  const intervals = new Map(ids.map((id) => [id, [] as { fromMs: number; toMs: number }[]]));
  const sockets: RawWebSocket[] = [];

  /** Waits for the session_id, then for the end. */
  const random = new Random(useSeed());
  using lag = new LoopLag();
  const watch = async (id: string, socket: RawWebSocket) => {
    const first = await socket.frame();
    if (first?.opcode !== OPCODES.text) return; // replaced before it was established
    const interval = { fromMs: first.atMs, toMs: Infinity };
    intervals.get(id)!.push(interval);
    const end = await socket.frame();
    if (end?.opcode === OPCODES.close) interval.toMs = end.atMs;
  };
  const watching: Promise<void>[] = [];
  await Promise.all(ids.map(async (id) => {
    for (let turn = 0; turn < 20; turn++) {
      const port = cluster.port(random.integer(0, 2));
      // a few never answer a close frame: their successors wait for the cut where the transport needs an answer
      const socket = await RawWebSocket.connect(port, id, { answersClose: random.between(0, 1) < 0.95 });
      sockets.push(socket);
      watching.push(watch(id, socket));
      await new Promise((resolve) => setTimeout(resolve, random.between(0, 30)));
    }
  }));
  await untilListed(cluster.port(0), ids);
  for (const socket of sockets) socket[Symbol.dispose]();
  await Promise.all(watching);

  let takeovers = 0;
  for (const [id, list] of intervals) {
    list.sort((a, b) => a.fromMs - b.fromMs);
    for (let i = 1; i < list.length; i++) {
      const overlapMs = list[i - 1]!.toMs - list[i]!.fromMs;
      // both ends are stamped by this event loop, which meets what is there in either order when it has stood still
      assert.ok(
        overlapMs <= lag.longestMs,
        `two sessions of ${id} overlap by ${overlapMs} ms, stamped within ${lag.longestMs} ms`,
      );
      takeovers++;
    }
  }
  assert.ok(takeovers > ids.length, `there were ${takeovers} takeovers to look at`);
});

Deno.test("ws-server: of 200 connections at once for one client exactly one survives, every time", async () => {
  await using cluster = await Cluster.start({ args: ["--takeover-limit", "0"] });
  for (let round = 0; round < 5; round++) {
    const clients = Array.from({ length: 200 }, (_, i) => new WsClient(cluster.port(i % 3), "racer"));
    const open = () => clients.filter((client) => client.isOpen);
    const codes: number[] = [];
    for (const client of clients) client.closed.then(({ code }) => codes.push(code));
    await until(
      () => codes.length >= 199,
      () => `199 of 200 are replaced in round ${round}, ${codes.length} are`,
    );
    assert.deepEqual([new Set(codes), codes.length], [new Set([4409]), 199]);
    assert.equal(open().length, 1);
    const sessionId = await open()[0]!.sessionId;
    for (const { port } of cluster.servers) {
      assert.deepEqual([...await sessionsOf(port)], [["racer", sessionId]]);
    }
    await open()[0]![Symbol.asyncDispose]();
  }
});
