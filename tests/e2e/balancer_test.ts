/** Three real ws-servers with a real Redis behind a real Caddy with the Caddyfile of this repository. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "../../lib/sessions/page/client.js";
import { Caddy } from "../support/caddy.ts";
import { Cluster, sessionsOf, untilListed, untilReady } from "../support/cluster.ts";
import type { Program } from "../support/program.ts";
import { ask, pathOf, startCluster } from "../support/operator.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** With `deno` a PONG that comes in the moment of the close may cost a client the close frame. */
const DRAINING = ["--transport", "node", "--drain-delay", "3"];

class BalancedCluster implements AsyncDisposable {
  private constructor(readonly cluster: Cluster, readonly balancer: Caddy) {}

  static async start(
    { env = {}, args = [] }: { env?: Record<string, string>; args?: string[] } = {},
  ): Promise<BalancedCluster> {
    const cluster = await Cluster.start({ args });
    try {
      const upstreams = cluster.servers.map(({ port }) => port);
      const balancer = await Caddy.start({ upstreams, env: { SOLO_HEALTH_INTERVAL: "200ms", ...env } });
      return new BalancedCluster(cluster, balancer);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where clients connect. */
  get port(): number {
    return this.balancer.port;
  }

  program(index: number): Program {
    return this.cluster.servers[index]!.program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.balancer[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

function connectMany(port: number, count: number): Promise<WsClient[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => WsClient.establish(port, `client-${i}`)));
}

async function disconnect(clients: WsClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

/** `client_id -> node` of every session. */
async function nodesOf(port: number): Promise<Map<string, string>> {
  const response = await fetch(`http://127.0.0.1:${port}/sessions`, {
    headers: { accept: "application/json" },
  });
  const entries: { client_id: string; node: string }[] = await response.json();
  return new Map(entries.map(({ client_id, node }) => [client_id, node]));
}

async function expectedSessions(clients: WsClient[]): Promise<Map<string, string>> {
  return new Map(
    await Promise.all(clients.map(async (client) => [client.clientId, await client.sessionId] as const)),
  );
}

Deno.test("balancer: clients are spread evenly over the servers", async () => {
  await using service = await BalancedCluster.start();
  for (let spread: number[] = []; spread.join() !== "3,3,3";) {
    const before = service.balancer.log.length;
    const clients: WsClient[] = [];
    for (let i = 0; i < 9; i++) clients.push(await WsClient.establish(service.port, `client-${i}`));
    const perNode = Map.groupBy((await nodesOf(service.port)).values(), (node) => node);
    spread = [...perNode.values()].map(({ length }) => length);
    await disconnect(clients);
    await untilListed(service.port, []);
    // a server that had no time to answer is taken for one that is away
    const passedOver = service.balancer.log.slice(before)
      .some(({ logger }) => logger?.includes("health_checker"));
    if (!passedOver) assert.deepEqual(spread, [3, 3, 3]);
  }
});

Deno.test("balancer: the newest connection of a client is the only one, wherever each has landed", async () => {
  await using service = await BalancedCluster.start();
  const clients: WsClient[] = [];
  for (let i = 0; i < 4; i++) clients.push(await WsClient.establish(service.port, "test1"));
  const newest = clients.pop()!;
  for (const older of clients) assert.equal((await older.end()).code, 4409);
  assert.deepEqual(await sessionsOf(service.port), await expectedSessions([newest]));
  await disconnect([newest]);
});

Deno.test("balancer: a killed server loses its own clients only, and they come back", async () => {
  await using service = await BalancedCluster.start();
  const clients = await connectMany(service.port, 9);
  const nodes = await nodesOf(service.port);
  await service.program(0).stop("SIGKILL");
  await until(() => clients.some(({ isOpen }) => !isOpen), "the clients of the killed server notice");
  const deadNode = nodes.get(clients.find(({ isOpen }) => !isOpen)!.clientId);
  const [orphans, others] = [true, false].map((isOrphan) =>
    clients.filter(({ clientId }) => (nodes.get(clientId) === deadNode) === isOrphan)
  ) as [WsClient[], WsClient[]];
  await Promise.all(orphans.map((orphan) => orphan.end()));
  await delay(500); // for others to show up that should not end
  assert.deepEqual(others.filter(({ isOpen }) => !isOpen), []);

  await service.cluster.endLease(service.cluster.servers[0]!);
  const again = await Promise.all(orphans.map(({ clientId }) => WsClient.establish(service.port, clientId)));
  assert.deepEqual(await sessionsOf(service.port), await expectedSessions([...again, ...others]));
  await disconnect([...again, ...others]);
});

Deno.test("balancer: while a server is drained no new connection fails", async () => {
  await using service = await BalancedCluster.start({ args: DRAINING });
  const clients = await connectMany(service.port, 9);
  let stopped = false;
  const exit = service.program(0).stop("SIGTERM").finally(() => stopped = true);
  const comeAndGo = async (name: string) => {
    let visits = 0;
    do {
      await disconnect([await WsClient.establish(service.port, `${name}-${visits++}`)]); // throws where it fails
    } while (!stopped);
  };
  await Promise.all(["a", "b", "c", "d"].map(comeAndGo));

  assert.equal(await exit, 0);
  const closed = clients.filter(({ isOpen }) => !isOpen);
  assert.ok(closed.length > 0 && closed.length < clients.length);
  for (const client of closed) assert.equal((await client.end()).code, 1001);
  await disconnect(clients);
});

Deno.test("balancer: a service that is rolled tells each client how long to wait, and has it back at its first attempt", async () => {
  const count = 60;
  await using service = await BalancedCluster.start({ args: [...DRAINING, "--drain-rate", "20"] });
  const sessions = new Map<number, string>();
  const ends: { code: number; reason: string; waitMs?: number }[] = [];
  const clients = Array.from({ length: count }, (_, i) =>
    connect(`http://127.0.0.1:${service.port}/`, {
      clientId: `client-${i}`,
      onSession: (sessionId) => sessions.set(i, sessionId),
      onEnd: (end) => {
        sessions.delete(i);
        ends.push(end);
      },
    }));
  try {
    await until(() => sessions.size === count, "all are connected");
    for (const { port, program } of [...service.cluster.servers]) {
      assert.equal(await program.stop("SIGTERM"), 0);
      await service.cluster.add(["--port", String(port)]);
      await untilReady(port);
    }
    await until(() => sessions.size === count, "all are back");
    assert.ok(ends.length >= count, `each server had sessions: ${ends.length} have ended`);
    for (const { code, reason, waitMs } of ends) {
      assert.equal(code, 1001, `no attempt fails: ${code} ${reason}`);
      const [, withinS] = /^the server is going away; reconnect within (\d+) s$/.exec(reason) ?? [];
      assert.ok(waitMs! <= Number(withinS) * 1000, `${waitMs} ms: ${reason}`);
    }
    const expected = Array.from({ length: count }, (_, i) => [`client-${i}`, sessions.get(i)!] as const);
    assert.deepEqual(await sessionsOf(service.port), new Map(expected));
  } finally {
    for (const client of clients) client.close();
  }
});

Deno.test("balancer: a server that has stopped to answer is passed over", async () => {
  await using service = await BalancedCluster.start();
  service.program(0).kill("SIGSTOP");
  const clients = await connectMany(service.port, 6);
  assert.equal(new Set((await nodesOf(service.port)).values()).size, 2);
  await disconnect(clients);
});

Deno.test("balancer: only the public paths lead inside, and each request is logged", async () => {
  await using service = await BalancedCluster.start();
  for (const path of ["/", "/client.js", "/sessions", "/healthz", "/readyz"]) {
    assert.notEqual(await statusOf(service.port, path), 404, path);
  }
  // there are no operators here; it is ws-server that says so, and not the balancer
  const operation = await answerTo(service.port, "GET /sessions/kim HTTP/1.0\r\nHost: localhost\r\n\r\n");
  assert.match(operation, / 404 [^]*no such path; there are /);
  for (const path of ROUNDABOUT) assert.ok([400, 404].includes(await statusOf(service.port, path)), path);
  await disconnect([await WsClient.establish(service.port, "logged")]);
  const isLogged = () =>
    service.balancer.log.some(({ logger, request }) =>
      logger?.startsWith("http.log.access") && request?.uri === "/?client_id=logged"
    );
  await until(isLogged, "the connection stands in the access log, now that it has ended");
});

/** Ways to write /metrics; some of them a ws-server would understand. */
const ROUNDABOUT = [
  "/metrics",
  "/METRICS",
  "/%6Detrics",
  "/%2e/metrics",
  "//metrics",
  "/x/../metrics",
  "/..\\metrics",
  "/x\\..\\metrics",
  "/page/..\\metrics",
  "/sessions/../metrics",
  "/sessions/%2e%2e/metrics",
  "/sessions/..\\metrics",
];

Deno.test("balancer: operators reach one session by its id, whatever is in it", async () => {
  await using cluster = await startCluster();
  await using balancer = await Caddy.start({ upstreams: cluster.servers.map(({ port }) => port) });
  const ids = ["kim", "a/b", "two words & 100 % 👋?#"];
  await using clients = new AsyncDisposableStack();
  for (const id of ids) {
    const client = clients.use(await WsClient.establish(balancer.port, id));
    const answer = async (method: string, path = "", body?: string) => {
      const { status, text } = await ask(balancer.port, method, pathOf(id) + path, { body });
      return [status, text];
    };
    const sessionId = await client.sessionId;
    assert.deepEqual(await answer("GET"), [200, `${id} ${sessionId}\n`]);
    assert.deepEqual(await answer("POST", "/messages", "x"), [200, `${sessionId}\n`]);
    assert.deepEqual(await answer("DELETE"), [200, "the session is ended\n"]);
    assert.equal((await client.end()).code, 4403);
  }
});

Deno.test("balancer: half a request is cut, a silent session is not", async () => {
  await using service = await BalancedCluster.start({ env: { SOLO_READ_TIMEOUT: "1s" } });
  const silent = await WsClient.establish(service.port, "silent");
  await answerTo(service.port, "GET / HTTP/1.1\r\nHost: localhost\r\n"); // returns when the balancer closes
  await answerTo(service.port, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
  assert.deepEqual(await sessionsOf(service.port), await expectedSessions([silent]));
  await disconnect([silent]);
});

/** Asks for a path exactly as it stands, which `fetch` would tidy up. */
async function statusOf(port: number, path: string): Promise<number> {
  const answer = await answerTo(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
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
