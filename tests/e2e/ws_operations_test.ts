/** What operators do with one session: by the program, over HTTP, from whichever process. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { Cluster, type ClusterOptions, sessionsOf } from "../support/cluster.ts";
import { rawRequest, RawWebSocket } from "../support/raw_websocket.ts";
import { startServer } from "../support/program.ts";
import { startOn, testOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const TOKEN = "operators-token-0";
const ENV = { SOLO_OPERATOR_TOKEN: TOKEN };
const ENDED = { code: 4403, reason: "ended by the operator" };
const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

interface Answer {
  status: number;
  text: string;
  headers: Headers;
}

async function ask(
  port: number,
  method: string,
  path: string,
  { headers, body }: { headers?: Record<string, string>; body?: BodyInit } = {},
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    body,
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

async function statusOf(...args: Parameters<typeof ask>): Promise<number> {
  return (await ask(...args)).status;
}

function pathOf(clientId: string): string {
  return `/sessions/${encodeURIComponent(clientId)}`;
}

function ifMatch(...sessionIds: string[]): { headers: { "if-match": string } } {
  return { headers: { "if-match": sessionIds.map((sessionId) => `"${sessionId}"`).join(", ") } };
}

function say(port: number, clientId: string, body: BodyInit, sessionId?: string): Promise<Answer> {
  const condition = sessionId === undefined ? {} : ifMatch(sessionId);
  return ask(port, "POST", `${pathOf(clientId)}/messages`, { ...condition, body });
}

function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  return Cluster.start({ operatorToken: TOKEN, ...options });
}

/** A client down to the frame, and its session_id. */
async function establish(
  port: number,
  clientId: string,
): Promise<{ socket: RawWebSocket; sessionId: string }> {
  const socket = await RawWebSocket.connect(port, clientId);
  return { socket, sessionId: (await socket.text()).text };
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server --transport ${transport}, operations: each request has the answer that the protocol says`,
    ),
    async fn() {
      await using server = await startOn(transport, [], { env: ENV });
      const { port } = server;
      const clientId = "a/b ?#%&👋";
      const { socket, sessionId } = await establish(port, clientId);
      using _socket = socket;
      const path = pathOf(clientId);

      const found = await ask(port, "GET", path);
      assert.equal(found.text, `${clientId} ${sessionId}\n`);
      assert.equal(found.headers.get("content-type"), "text/plain; charset=utf-8");
      assert.equal(found.headers.get("etag"), `"${sessionId}"`);
      const head = await ask(port, "HEAD", path);
      assert.deepEqual([head.status, head.text, head.headers.get("etag")], [200, "", `"${sessionId}"`]);
      const json = { accept: "application/json" };
      const [entry] = JSON.parse((await ask(port, "GET", "/sessions", { headers: json })).text);
      assert.deepEqual(JSON.parse((await ask(port, "GET", path, { headers: json })).text), entry);

      const { status, text } = await say(port, clientId, "привет\n\u{FEFF}");
      assert.deepEqual([status, text], [200, `${sessionId}\n`]);
      assert.equal((await socket.text()).text, "привет\n\u{FEFF}");
      assert.equal((await say(port, clientId, "\u{FEFF}x".repeat(16 * 1024))).status, 200); // 64 KiB
      await socket.text();

      const table: [expected: number, method: string, path: string, init?: Parameters<typeof ask>[3]][] = [
        [404, "GET", "/sessions/nobody"],
        [404, "DELETE", "/sessions/nobody"],
        [404, "POST", "/sessions/nobody/messages", { body: "x" }],
        [404, "DELETE", "/sessions/nobody", ifMatch(UNKNOWN_ID)],
        [404, "DELETE", "/sessions/nobody?block=60", { headers: { "if-match": "*" } }],
        ...[
          `"x", "${sessionId}"`,
          `"x" ,\t"${sessionId}"`,
          `"${sessionId}",`,
          `, ,"${sessionId}"`,
          `"a,b", "${sessionId}"`,
          `"", "\xFF", W/"x", "${sessionId}"`,
        ].map((tags) => [200, "GET", path, { headers: { "if-match": tags } }] as typeof table[number]),
        [412, "GET", path, ifMatch(UNKNOWN_ID)],
        [412, "DELETE", path, ifMatch(UNKNOWN_ID)],
        [412, "DELETE", `${path}?block=60`, ifMatch(UNKNOWN_ID)],
        [412, "DELETE", path, { headers: { "if-match": `W/"${sessionId}"` } }],
        [412, "DELETE", path, { headers: { "if-match": '"*"' } }],
        [412, "DELETE", path, { headers: { "if-match": "," } }],
        [412, "DELETE", path, { headers: { "if-match": `"a,${sessionId}",W/"${sessionId}", ` } }],
        [412, "POST", `${path}/messages`, { ...ifMatch(UNKNOWN_ID), body: "no" }],
        [400, "DELETE", path, { headers: { "if-match": sessionId } }],
        [400, "DELETE", path, { headers: { "if-match": `"${sessionId}" "x"` } }],
        [400, "DELETE", path, { headers: { "if-match": `"${sessionId}", *` } }],
        [400, "DELETE", path, { headers: { "if-match": `"${sessionId}", "x` } }],
        [400, "GET", "/sessions/%zz"],
        [400, "GET", "/sessions/%ff"],
        [400, "GET", "/sessions/%0A"],
        [400, "DELETE", "/sessions/"],
        [400, "DELETE", `/sessions/${"x".repeat(257)}`],
        ...["", "0", "-1", "1.5", "86401", "1e2", "x", "60&block=61"].map((block) =>
          [400, "DELETE", `${path}?block=${block}`] as [number, string, string]
        ),
        ...["blok=60", "block=60&x", "Block=60", "=60", "%0A"].map((query) =>
          [400, "DELETE", `${path}?${query}`] as [number, string, string]
        ),
        [400, "GET", `${path}?block=60`],
        [400, "POST", `${path}/messages?block=60`, { body: "x" }],
        [400, "POST", `${path}/messages`, { body: "" }],
        [400, "POST", `${path}/messages`, { body: Uint8Array.of(0x61, 0xff) }],
        [413, "POST", `${path}/messages`, { body: "x".repeat(64 * 1024 + 1) }],
        [413, "POST", `${path}/messages`, { body: endless() }],
        [405, "POST", path, { body: "x" }],
        [405, "PUT", path, { body: "x" }],
        [405, "GET", `${path}/messages`],
        [405, "DELETE", `${path}/messages`],
        [404, "GET", `${path}/messages/1`],
        [404, "GET", `${path}/other`],
      ];
      for (const [expected, ...request] of table) {
        const { status, text } = await ask(port, ...request);
        const [method, path] = request;
        assert.equal(status, expected, `${method} ${path} ${JSON.stringify(request[2])}: ${text}`);
        assert.match(text, /^[^\n]+\n$/, `${method} ${path} is answered with one line`);
      }
      assert.equal(
        (await ask(port, "DELETE", `${path}?blok=60`)).text,
        'the parameter "blok" is unknown: only block is known here\n',
      );
      assert.equal((await ask(port, "PUT", path)).headers.get("allow"), "GET, HEAD, DELETE");
      assert.equal((await ask(port, "PUT", `${path}/messages`)).headers.get("allow"), "POST");
      assert.equal((await ask(port, "GET", path)).text, `${clientId} ${sessionId}\n`, "nothing was ended");

      assert.deepEqual([(await ask(port, "DELETE", path)).text], ["the session is ended\n"]);
      const { code, reason } = await socket.close();
      assert.deepEqual({ code, reason }, ENDED);
      const metrics = (await ask(port, "GET", "/metrics")).text;
      assert.match(metrics, /^solo_operations_total\{operation="end",status="200"\} 1$/m);
      assert.match(metrics, /^solo_operations_total\{operation="send",status="413"\} 2$/m);
      assert.match(metrics, /^solo_sessions_closed_total\{code="4403"\} 1$/m);
    },
  });

  Deno.test({
    ...testOn(
      transport,
      `ws-server --transport ${transport}, operations: they are operators' only, where there are operators`,
    ),
    async fn() {
      const requests: [method: string, path: string][] = [
        ["GET", "/sessions/kim"],
        ["DELETE", "/sessions/kim?block=60"],
        ["POST", "/sessions/kim/messages"],
      ];
      {
        await using open = await startOn(transport);
        const { socket } = await establish(open.port, "kim");
        using _socket = socket;
        for (const [method, path] of requests) {
          assert.equal(await statusOf(open.port, method, path), 404, method);
        }
        assert.equal((await sessionsOf(open.port)).size, 1);
      }
      const allowed = { origin: "https://app.example" };
      await using server = await startOn(transport, [
        ...["--operator", "127.0.0.1:0", "--allow-origin", allowed.origin],
      ], { env: ENV });
      const [, port] = await server.program.line(/operators are served at \S*?:(\d+)/);
      const operators = Number(port);
      const { socket } = await establish(server.port, "kim");
      using _socket = socket;
      const foreign = { origin: "https://evil.example" };
      const fetched = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" };
      const form = { origin: "null", "content-type": "text/plain" };
      const posted = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
      const formed = await ask(operators, "POST", "/sessions/kim/messages", { headers: posted, body: "x" });
      assert.equal(formed.status, 403, "a form of another page");
      for (const [method, path] of requests) {
        assert.equal(await statusOf(server.port, method, path), 404, `${method} at the clients' port`);
        for (const authorization of ["", "Bearer wrong", `Basic ${btoa("x:wrong")}`]) {
          const refused = await ask(operators, method, path, { headers: { authorization } });
          assert.equal(refused.status, 401, `${method} with "${authorization}"`);
        }
        for (const headers of [foreign, fetched, form, allowed]) {
          const authorization = `Basic ${btoa(`x:${TOKEN}`)}`; // as a browser sends by itself
          const refused = await ask(operators, method, path, { headers: { authorization, ...headers } });
          assert.equal(refused.status, 403, `${method} with ${JSON.stringify(headers)}`);
        }
      }
      assert.equal((await ask(operators, "GET", "/sessions")).text.split("\n").length, 2, "nobody was ended");
      assert.equal(await statusOf(operators, "DELETE", "/sessions/kim"), 200);
      assert.equal(
        (await socket.close()).code,
        4403,
        "the first frame after its session_id: nothing was sent",
      );
    },
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server --transport ${transport}, operations: who offers another protocol is served in this one`,
    ),
    fn: async () => {
      await using server = await startOn(transport, [], { env: ENV });
      const { socket, sessionId } = await establish(server.port, "kim");
      using _socket = socket;
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      await connection.write(
        new TextEncoder().encode(
          "POST /sessions/kim/messages HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n" +
            `Authorization: Bearer ${TOKEN}\r\nContent-Length: 5\r\n\r\nhello`,
        ),
      );
      const buffer = new Uint8Array(4096);
      const answer = new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
      if (transport === "deno") {
        return assert.match(answer, /^HTTP\/1\.1 400 /, "Deno itself refuses a body there");
      }
      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.match(answer, new RegExp(`etag: "${sessionId}"`, "i"));
    },
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server --transport ${transport}, POST: a client that reads only when it has written far too much has its answer`,
    ),
    fn: async () => {
      await using server = await startOn(transport, [], { env: ENV });
      const bytes = 8 * 1024 * 1024; // more than the kernel keeps for a server that has stopped to read
      const bodies = {
        announced: [`Content-Length: ${bytes}\r\n\r\n`, "x".repeat(bytes)],
        chunked: [
          "Transfer-Encoding: chunked\r\n\r\n",
          `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n0\r\n\r\n`,
        ],
      };
      for (const [how, [header, body]] of Object.entries(bodies)) {
        for (
          const [token, says] of [
            [TOKEN, /^HTTP\/1\.1 413 .*messages are limited to 64 KiB\n/s],
            ["wrong", /^HTTP\/1\.1 401 .*this is for operators: send their token\n/s],
          ] as const
        ) {
          const answers = await rawRequest(
            server.port,
            "POST /sessions/kim/messages HTTP/1.1\r\nHost: localhost\r\n" +
              `Authorization: Bearer ${token}\r\n${header}${body}` +
              "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
          );
          assert.match(answers, says, `${how}, token ${token}`);
          if (transport === "deno") continue; // ends the connection after some
          assert.match(answers, /\nHTTP\/1\.1 200 .*\nalive\n$/s, `${how}: the connection goes on`);
        }
      }
    },
  });
}

/** A body that has no end, unless somebody stops to read it. */
function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(16 * 1024).fill(0x61)),
  });
}

Deno.test("ws-server, operations: any process answers for the whole cluster", async () => {
  await using cluster = await startCluster();
  for (const holder of [0, 1, 2]) {
    const clientId = `client ${holder}`;
    const { socket, sessionId } = await establish(cluster.port(holder), clientId);
    using _socket = socket;
    const asker = cluster.port((holder + 1) % 3);
    assert.equal((await ask(asker, "GET", pathOf(clientId))).text, `${clientId} ${sessionId}\n`);
    assert.equal((await say(asker, clientId, "hello", sessionId)).text, `${sessionId}\n`);
    assert.equal((await socket.text()).text, "hello");
    assert.equal((await ask(asker, "DELETE", pathOf(clientId), ifMatch(sessionId))).status, 200);
    const { code, reason } = await socket.close();
    assert.deepEqual({ code, reason }, ENDED);
    for (const { port } of cluster.servers) assert.equal(await statusOf(port, "GET", pathOf(clientId)), 404);
  }
});

Deno.test("ws-server, DELETE: once it is answered, nothing arrives on that session, whoever writes meanwhile", async () => {
  await using cluster = await startCluster();
  for (let round = 0; round < 20; round++) {
    const { socket, sessionId } = await establish(cluster.port(round % 3), "kim");
    using _socket = socket;
    let writing = true;
    const writers = cluster.servers.map(async ({ port }) => {
      const answers: Answer[] = [];
      while (writing) answers.push(await say(port, "kim", "x"));
      return answers;
    });
    await socket.text(); // they are at it
    const { status } = await ask(cluster.port((round + 1) % 3), "DELETE", pathOf("kim"));
    assert.equal(status, 200);
    const after = await Promise.all(
      cluster.servers.map(({ port }) => say(port, "kim", "too late", sessionId)),
    );
    writing = false;
    assert.deepEqual(after.map(({ status }) => status), [404, 404, 404]);
    const count = { sent: 0, perhaps: 0 };
    for (const { status, text } of (await Promise.all(writers)).flat()) {
      if (status === 200) count.sent++;
      else if (status === 503 && text.startsWith("perhaps")) count.perhaps++;
      else assert.equal(status, 404, text);
    }
    let arrived = 1;
    let frame = await socket.frame();
    for (; frame?.opcode === 1; frame = await socket.frame()) {
      assert.equal(new TextDecoder().decode(frame.payload), "x");
      arrived++;
    }
    assert.equal(frame?.opcode, 8, "the close frame is the last");
    const { sent, perhaps } = count;
    assert.ok(
      arrived >= sent && arrived <= sent + perhaps,
      `${sent} sent, ${perhaps} perhaps, ${arrived} arrived`,
    );
  }
});

Deno.test("ws-server, DELETE: in the midst of takeovers it ends every one until nobody is there", async () => {
  await using cluster = await startCluster({ args: ["--takeover-limit", "0"] });
  for (let round = 0; round < 10; round++) {
    const clients = Array.from({ length: 12 }, (_, i) => new WsClient(cluster.port(i % 3), "racer"));
    await Promise.any(clients.map(({ sessionId }) => sessionId));
    let ended = 0;
    await until(async () => {
      const { status, text } = await ask(cluster.port(round % 3), "DELETE", pathOf("racer"));
      assert.ok(status === 200 || status === 404, text); // one may still be on its way
      if (status === 200) ended++;
      return clients.every(({ isOpen, isConnecting }) => !isOpen && !isConnecting);
    }, "all are gone");
    assert.ok(ended > 0);
    const codes = new Set((await Promise.all(clients.map(({ closed }) => closed))).map(({ code }) => code));
    assert.ok(codes.has(4403));
    assert.deepEqual([...codes].filter((code) => ![4403, 4409].includes(code)), []);
    for (const { port } of cluster.servers) assert.equal(await statusOf(port, "GET", pathOf("racer")), 404);
  }
});

Deno.test("ws-server, If-Match: an operator who looked before a takeover ends nobody", async () => {
  await using cluster = await startCluster({ nodes: 2 });
  const older = await establish(cluster.port(0), "kim");
  const newer = await establish(cluster.port(1), "kim");
  using _older = older.socket;
  using _newer = newer.socket;
  assert.equal((await older.socket.close()).code, 4409);
  for (const { port } of cluster.servers) {
    const condition = ifMatch(older.sessionId);
    assert.equal(await statusOf(port, "DELETE", pathOf("kim"), condition), 412);
    assert.equal(await statusOf(port, "DELETE", `${pathOf("kim")}?block=60`, condition), 412);
    assert.equal((await say(port, "kim", "no", older.sessionId)).status, 412);
  }
  assert.equal((await say(cluster.port(0), "kim", "yes", newer.sessionId)).status, 200);
  assert.equal((await newer.socket.text()).text, "yes");
});

Deno.test("ws-server, DELETE with block: the client is refused by every process, and let in when it is over", async () => {
  await using cluster = await startCluster();
  const { socket } = await establish(cluster.port(0), "kim");
  using _socket = socket;
  const knocks = async (port: number) => {
    using knock = await RawWebSocket.connect(port, "kim", { anyStatus: true });
    return { status: knock.answer.status, retryAfterS: Number(knock.answer.headers.get("retry-after")) };
  };
  const { status, text } = await ask(cluster.port(1), "DELETE", `${pathOf("kim")}?block=3600`);
  assert.deepEqual([status, text], [200, "the session is ended; the client is refused for 3600 s\n"]);
  assert.equal((await socket.close()).code, 4403);
  const late = await cluster.add(); // it was not there when the others were told
  for (const { port } of cluster.servers) {
    await until(async () => (await knocks(port)).status === 403, "the refusal comes before the upgrade");
    const { retryAfterS } = await knocks(port);
    assert.ok(retryAfterS > 3000 && retryAfterS <= 3600, `Retry-After: ${retryAfterS}`);
  }
  const metrics = (await ask(cluster.port(0), "GET", "/metrics")).text;
  assert.match(metrics, /^solo_connections_refused_total\{reason="blocked"\} [1-9]/m);
  await using _other = await WsClient.establish(late.port, "lee");
  const again = await ask(cluster.port(2), "DELETE", `${pathOf("kim")}?block=1`);
  assert.deepEqual([again.status, again.text], [200, "nobody is connected; the client is refused for 1 s\n"]);
  await cluster.redis.passes(1_000);
  await until(async () => (await knocks(late.port)).status === 101, "the client is let in");
});

Deno.test("ws-server, DELETE with block: one that reconnects at once never slips back in between", async () => {
  await using cluster = await startCluster({ args: ["--takeover-limit", "0"] });
  let blocked = false;
  let established = 0;
  const clients: WsClient[] = [];
  const comeBack = async (index: number) => {
    while (!blocked || clients.length === 0) {
      const client = new WsClient(cluster.port(index), "kim");
      clients.push(client);
      await client.sessionId.then(() => established++, () => {});
      await client.closed;
    }
  };
  const comers = [0, 1, 2].map(comeBack);
  await until(() => established > 3, "they push each other out");
  assert.equal(await statusOf(cluster.port(0), "DELETE", `${pathOf("kim")}?block=3600`), 200);
  const before = established;
  assert.equal(await statusOf(cluster.port(1), "GET", pathOf("kim")), 404);
  for (let i = 0; i < 20; i++) await new WsClient(cluster.port(i % 3), "kim").closed;
  blocked = true;
  await Promise.all(comers);
  for (const client of clients) assert.equal(client.isOpen, false);
  // one that was told its session_id before may be read after
  assert.ok(established <= before + 3, `${established - before} were established after the block`);
  assert.equal(await statusOf(cluster.port(1), "GET", pathOf("kim")), 404);
});

for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
  Deno.test(`ws-server, DELETE of a session whose process gets ${signal}: 200 when its lease is over, and not before`, async () => {
    const leaseS = 4;
    await using cluster = await startCluster({ leaseS });
    const holder = cluster.servers[1]!;
    const { socket, sessionId } = await establish(holder.port, "kim");
    using _socket = socket;
    const node = JSON.parse(
      (await ask(cluster.port(0), "GET", pathOf("kim"), { headers: { accept: "application/json" } })).text,
    ).node;
    holder.program.kill(signal);
    const answer = ask(cluster.port(0), "DELETE", pathOf("kim"));
    const perhaps = say(cluster.port(2), "kim", "hello", sessionId);
    assert.equal((await answer).status, 200);
    const leaseEnd = Number(await cluster.redis.command("ZSCORE", "{solo}:nodes", node)); // 0: swept
    const nowMs = Number(await cluster.redis.command("HGET", "{solo}:generation", "now"));
    assert.ok(leaseEnd <= nowMs + leaseS * 1000 / 20, "the lease of its process is over");
    assert.equal(await statusOf(cluster.port(2), "GET", pathOf("kim")), 404);
    const { status, text } = await perhaps;
    assert.deepEqual([status, text.slice(0, 8)], [503, "perhaps:"]);
    if (signal === "SIGKILL") return;
    holder.program.kill("SIGCONT");
    const last = await socket.frame();
    assert.ok(last === undefined || last.opcode === 8, "nothing is sent but the end");
  });
}

Deno.test("ws-server, operations: a registry that does not answer is 503, and nothing is claimed", async () => {
  await using cluster = await startCluster({ nodes: 1, leaseS: 8 });
  const { socket } = await establish(cluster.port(0), "kim");
  using _socket = socket;
  cluster.redis.freeze();
  const answers = await Promise.all([
    ask(cluster.port(0), "GET", pathOf("kim")),
    ask(cluster.port(0), "DELETE", pathOf("kim")),
    say(cluster.port(0), "kim", "hello"),
  ]);
  cluster.redis.thaw();
  for (const { status, text, headers } of answers) {
    assert.equal(status, 503, text);
    assert.match(
      text,
      /^(perhaps: |the session registry has no answer: Redis (did not answer|is not connected))/,
    );
    assert.equal(headers.get("retry-after"), "1");
  }
});

Deno.test("ws-server, operations: where Redis answers and knows too little, 503 says of whom nothing was heard", async () => {
  await using cluster = await startCluster({ nodes: 2 });
  cluster.servers[1]!.program.kill("SIGSTOP"); // may hold any session, and says nothing of them
  const operate = ({ port }: { port: number }) =>
    Promise.all([
      ask(port, "GET", pathOf("kim")),
      ask(port, "DELETE", `${pathOf("kim")}?block=1`, ifMatch(UNKNOWN_ID)),
      say(port, "kim", "hello"),
    ]);
  for (const { status, text } of await operate(await cluster.add())) {
    assert.equal(status, 503, text);
    assert.match(text, /^the session registry has no answer: this process has yet to hear from the others/);
  }
  await cluster.redis.command("FLUSHALL");
  for (const { status, text } of await operate(cluster.servers[0]!)) {
    assert.equal(status, 503, text);
    assert.match(
      text,
      /^the session registry has no answer: Redis may have lost data, and has yet to hear from all processes/,
    );
  }
});

Deno.test("ws-server, POST to a client that reads nothing: 503, and its process holds a bound of bytes", async () => {
  for (const transport of TRANSPORTS) {
    await using server = await startServer("ws-server", ["--redis", "off", "--transport", transport], {
      env: ENV,
    });
    using reader = await RawWebSocket.connect(server.port, "deaf", { read: false });
    let status = 200;
    let sent = 0;
    const waiting: Promise<Answer>[] = [];
    for (; status !== 503; sent++) {
      assert.ok(sent < 1000, "64 MB were taken for one that reads nothing");
      const answer = say(server.port, "deaf", "x".repeat(64 * 1024));
      waiting.push(answer);
      ({ status } = await withDeadline(answer, 50, "").catch(() => ({ status: 0 })));
    }
    assert.match((await waiting.at(-1)!).text, /^nothing was sent: the client does not read/);
    reader[Symbol.dispose]();
    await Promise.all(waiting);
  }
});
