/** Three real ws-servers with a real Redis behind a real Caddy with the Caddyfile of this repository. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Caddy } from "../support/caddy.ts";
import { type Server, startServer } from "../support/program.ts";
import { Redis } from "../support/redis.ts";
import { type Ending, SessionClient } from "../support/session_client.ts";
import { until } from "../support/wait.ts";

/** Seconds; a client of a killed server that reconnects waits for the end of it. */
const LEASE = "1";
const HEALTH_INTERVAL = "200ms";

interface Cluster extends AsyncDisposable {
  balancer: Caddy;
  servers: Server[];
}

async function startCluster(env: Record<string, string> = {}): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await Redis.start());
  const args = ["--redis", redis.url, "--lease", LEASE, "--drain-delay", "0.5"];
  const servers: Server[] = [];
  for (let i = 0; i < 3; i++) servers.push(stack.use(await startServer("ws-server", args)));
  const balancer = stack.use(
    await Caddy.start({
      upstreams: servers.map(({ port }) => port),
      env: { SOLO_HEALTH_INTERVAL: HEALTH_INTERVAL, ...env },
    }),
  );
  const all = stack.move();
  return { balancer, servers, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

function connectMany(address: string, count: number, prefix = "client"): Promise<SessionClient[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => SessionClient.connect(address, `${prefix}-${i}`)),
  );
}

interface Entry {
  client_id: string;
  session_id: string;
  node: string;
}

async function listSessions(address: string): Promise<Entry[]> {
  const response = await fetch(`http://${address}/sessions`, { headers: { accept: "application/json" } });
  return await response.json();
}

async function closeAll(clients: SessionClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}

Deno.test("balancer: clients are spread evenly over the servers", async () => {
  await using cluster = await startCluster();
  const { address } = cluster.balancer;
  const clients: SessionClient[] = [];
  for (let i = 0; i < 9; i++) clients.push(await SessionClient.connect(address, `client-${i}`));

  const byNode = Map.groupBy(await listSessions(address), ({ node }) => node);
  assert.deepEqual([...byNode.values()].map((entries) => entries.length), [3, 3, 3]);
  await closeAll(clients);
});

Deno.test("balancer: the newest connection of a client is the only one, wherever each has landed", async () => {
  await using cluster = await startCluster();
  const { address } = cluster.balancer;
  const sessions: SessionClient[] = [];
  for (let i = 0; i < 4; i++) sessions.push(await SessionClient.connect(address, "test1"));

  const replaced = await Promise.all(sessions.slice(0, -1).map(({ ended }) => ended));
  assert.deepEqual(replaced.map(({ code }) => code), [4409, 4409, 4409]);
  const text = await (await fetch(`http://${address}/sessions`)).text();
  assert.equal(text, `test1 ${sessions.at(-1)!.sessionId}\n`);
  await sessions.at(-1)!.close();
});

Deno.test("balancer: a killed server loses its own clients only, and they come back", async () => {
  await using cluster = await startCluster();
  const { balancer: { address }, servers } = cluster;
  const clients = await connectMany(address, 9);
  const nodeOf = new Map((await listSessions(address)).map(({ session_id, node }) => [session_id, node]));

  await servers[0]!.program.stop("SIGKILL");
  const lost = new Set<SessionClient>();
  for (const client of clients) client.ended.then(() => lost.add(client));
  await until(() => lost.size > 0, "the clients of the killed server notice");
  await delay(500); // for those to show up that should not be among them
  const deadNode = nodeOf.get([...lost][0]!.sessionId);
  const expected = clients.filter(({ sessionId }) => nodeOf.get(sessionId) === deadNode);
  assert.deepEqual(new Set(expected), lost);

  const again = await Promise.all(
    expected.map((client) => SessionClient.connect(address, `client-${clients.indexOf(client)}`)),
  );
  const kept = clients.filter((client) => !lost.has(client));
  assert.deepEqual(
    (await listSessions(address)).map(({ session_id }) => session_id).sort(),
    [...again, ...kept].map(({ sessionId }) => sessionId).sort(),
  );
  await closeAll([...again, ...kept]);
});

Deno.test("balancer: while a server is drained no new connection fails", async () => {
  await using cluster = await startCluster();
  const { balancer: { address }, servers } = cluster;
  const before = await connectMany(address, 9, "before");
  const endings: Ending[] = [];
  for (const client of before) client.ended.then((ending) => endings.push(ending));

  let stopped = false;
  const exit = servers[0]!.program.stop("SIGTERM").finally(() => stopped = true);
  let connected = 0;
  const comeAndGo = async (name: string) => { // throws where a connection fails
    for (let i = 0; !stopped; i++) {
      await (await SessionClient.connect(address, `${name}-${i}`)).close();
      connected++;
    }
    await (await SessionClient.connect(address, `${name}-last`)).close();
  };
  await Promise.all(["a", "b", "c", "d"].map(comeAndGo));

  assert.equal(await exit, 0);
  assert.ok(connected > 20, `${connected} connections are no test`);
  assert.ok(endings.length > 0 && endings.length < before.length);
  assert.deepEqual(new Set(endings.map(({ code }) => code)), new Set([1001]));
  await closeAll(before);
});

Deno.test("balancer: a server that has stopped to answer is passed over", async () => {
  await using cluster = await startCluster();
  const { balancer: { address }, servers } = cluster;
  servers[0]!.program.kill("SIGSTOP");
  const clients = await connectMany(address, 6);
  assert.equal(new Set((await listSessions(address)).map(({ node }) => node)).size, 2);
  await closeAll(clients);
});

Deno.test("balancer: only the public paths lead inside, and each request is logged", async () => {
  await using cluster = await startCluster();
  const { balancer } = cluster;
  for (const path of ["/", "/sessions", "/healthz", "/readyz"]) {
    assert.notEqual(await statusOf(balancer.port, path), 404, path);
  }
  for (
    const path of [
      "/metrics",
      "/METRICS",
      "/%6Detrics",
      "/%2e/metrics",
      "//metrics",
      "/x/../metrics",
      "/..\\metrics",
      "/x\\..\\metrics",
    ]
  ) {
    assert.ok([400, 404].includes(await statusOf(balancer.port, path)), path);
  }
  const client = await SessionClient.connect(balancer.address, "logged");
  await client.close();
  await balancer.stop();
  const logged = balancer.log.filter(({ logger }) => logger?.startsWith("http.log.access"));
  assert.ok(logged.some(({ request }) => request?.uri === "/?client_id=logged"));
});

Deno.test("balancer: half a request is cut, a silent session is not", async () => {
  await using cluster = await startCluster({ SOLO_READ_TIMEOUT: "1s" });
  const { balancer } = cluster;
  const client = await SessionClient.connect(balancer.address, "silent");
  const started = performance.now();
  for (
    const half of [
      "GET / HTTP/1.1\r\nHost: x\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
    ]
  ) {
    await answerTo(balancer.port, half); // ends when the balancer closes
  }
  assert.ok(performance.now() - started < 8_000);
  assert.equal(
    await (await fetch(`http://${balancer.address}/sessions`)).text(),
    `silent ${client.sessionId}\n`,
  );
  await client.close();
});

/** Asks for a path exactly as it stands, which `fetch` would tidy up. */
async function statusOf(port: number, path: string): Promise<number> {
  const answer = await answerTo(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return Number(answer.split(" ")[1]);
}

/** Sends text to a port and reads until the other side closes. */
async function answerTo(port: number, request: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(request));
  const buffer = new Uint8Array(64 * 1024);
  let answer = "";
  for (let read; (read = await conn.read(buffer)) !== null;) {
    answer += new TextDecoder().decode(buffer.subarray(0, read));
  }
  return answer;
}
