/** Newcomers that are not to take over: because they say so, or because there were too many takeovers. */

import assert from "node:assert/strict";
import { Cluster, sessionsOf } from "../support/cluster.ts";
import { metricOf } from "../support/metrics.ts";
import { type Server, startServer } from "../support/program.ts";
import { TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const OCCUPIED = { code: 4408, reason: "the client is connected already" };
const CROWDED = { code: 4429, reason: "too many takeovers, wait" };

/** How many sessions a process has closed with a code. */
async function closedWith(code: number, servers: Server[]): Promise<number> {
  const name = `solo_sessions_closed_total{code="${code}"}`;
  const counts = await Promise.all(servers.map(({ port }) => metricOf(port, name)));
  return counts.reduce((sum, count) => sum + (count || 0), 0); // one that has closed none does not name the code
}

Deno.test("ws-server takeover=no: newcomers on any process are refused, and the holder notices nothing", async () => {
  await using cluster = await Cluster.start();
  await using holder = new WsClient(cluster.port(0), "kim", "takeover=no");
  const sessionId = await holder.sessionId;
  const newcomers = Array.from(
    { length: 30 },
    (_, i) => new WsClient(cluster.port(i % 3), "kim", "takeover=no"),
  );
  for (const newcomer of newcomers) assert.deepEqual(await newcomer.end(), OCCUPIED);
  assert.ok(holder.isOpen);
  for (const { port } of cluster.servers) {
    assert.deepEqual(await sessionsOf(port), new Map([["kim", sessionId]]));
  }
  const counts = cluster.servers.map(({ port }) => metricOf(port, "solo_sessions_established"));
  assert.deepEqual(await Promise.all(counts), [1, 0, 0], "who is refused was never counted");

  await using newer = new WsClient(cluster.port(1), "kim", "takeover=yes");
  await newer.sessionId;
  assert.equal((await holder.end()).code, 4409, "whoever asks to take over does");
});

Deno.test("ws-server takeover=no: of 200 that race on three processes one lives", async () => {
  await using cluster = await Cluster.start();
  const clients = Array.from(
    { length: 200 },
    (_, i) => new WsClient(cluster.port(i % 3), "kim", "takeover=no"),
  );
  const ends: { code: number; reason: string }[] = [];
  for (const client of clients) client.closed.then((end) => ends.push(end));
  await until(() => ends.length >= 199, () => `199 of 200 are refused, ${ends.length} are`);
  assert.deepEqual(ends, Array(199).fill(OCCUPIED));
  const [survivor] = clients.filter(({ isOpen }) => isOpen);
  const sessions = new Map([["kim", await survivor!.sessionId]]);
  for (const { port } of cluster.servers) assert.deepEqual(await sessionsOf(port), sessions);
  await survivor![Symbol.asyncDispose]();
});

Deno.test("ws-server takeover=no: who comes has the session of a process that died, when its lease is over", async () => {
  await using cluster = await Cluster.start();
  const [doomed] = cluster.servers;
  const orphan = await WsClient.establish(doomed!.port, "kim");
  await doomed!.program.stop("SIGKILL");
  await orphan.end();
  for (const index of [1, 2]) {
    const early = new WsClient(cluster.port(index), "kim", "takeover=no");
    assert.deepEqual(await early.end(), OCCUPIED, "while the lease lasts the client is not known to be free");
  }
  await cluster.endLease(doomed!);
  for (;;) {
    await using client = new WsClient(cluster.port(1), "kim", "takeover=no");
    const sessionId = await client.sessionId.catch(() => undefined);
    if (sessionId === undefined) {
      assert.deepEqual(await client.end(), OCCUPIED, "before it has heard of that");
      continue;
    }
    await until(
      async () => (await sessionsOf(cluster.port(2))).get("kim") === sessionId,
      "it is listed",
    );
    break;
  }
});

Deno.test("ws-server takeover: another value, or two of them, is answered 400", async () => {
  for (const transport of TRANSPORTS) {
    await using server = await startServer("ws-server", ["--redis", "off", "--transport", transport]);
    for (
      const query of [
        "takeover=false",
        "takeover=",
        "takeover=No",
        "takeover=no&takeover=no",
        "takeover=yes&takeover=no",
      ]
    ) {
      const response = await fetch(`http://127.0.0.1:${server.port}/?client_id=kim&${query}`, {
        headers: {
          "connection": "Upgrade",
          "upgrade": "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
      });
      assert.deepEqual([response.status, await response.text()], [
        400,
        'takeover is "no" or "yes", and given once\n',
      ], query);
    }
    assert.equal((await sessionsOf(server.port)).size, 0);
  }
});

for (
  const [where, start] of Object.entries({
    "in memory": async () => {
      const server = await startServer("ws-server", ["--redis", "off", "--takeover-limit", "3"]);
      return { servers: [server], [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
    },
    "over a cluster": () => Cluster.start({ nodes: 2, args: ["--takeover-limit", "3"] }),
  })
) {
  Deno.test(`ws-server --takeover-limit, ${where}: a duel ends in so many takeovers a minute, and one line of the log`, async () => {
    await using service = await start();
    const { servers } = service;
    const client = (i: number) => new WsClient(servers[i % servers.length]!.port, "kim");
    const clients = [client(0)];
    await clients[0]!.sessionId;
    for (let i = 1; i <= 3; i++) {
      clients.push(client(i));
      await clients[i]!.sessionId;
      assert.equal((await clients[i - 1]!.end()).code, 4409);
    }
    for (let i = 0; i < 10; i++) assert.deepEqual(await client(i).end(), CROWDED);
    const holder = clients.at(-1)!;
    assert.ok(holder.isOpen, "the last of them is left in peace");
    await using other = await WsClient.establish(servers[0]!.port, "lee");
    assert.ok(other.isOpen);

    assert.equal(await closedWith(4409, servers), 3);
    assert.equal(await closedWith(4429, servers), 10);
    const told = () =>
      servers.flatMap(({ program }) => program.stderr).filter((line) => line.includes("again and again"));
    await until(() => told().length > 0, "the log says so");
    const lines = told();
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0]!, /client "?kim"? is taken over again and again/);

    await holder[Symbol.asyncDispose]();
    await until(async () => !(await sessionsOf(servers[0]!.port)).has("kim"), "its entry is gone");
    await using free = client(1);
    await free.sessionId; // nobody is there to be taken over
  });
}
