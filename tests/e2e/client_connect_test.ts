/** `ws-server connect`, against real servers. */

import assert from "node:assert/strict";
import { connect } from "../../lib/sessions/connect.ts";
import { Cluster, sessionsOf, untilListed } from "../support/cluster.ts";
import { Program, runProgram, startServer } from "../support/program.ts";
import { ENV, say } from "../support/operator.ts";
import { freePort } from "../support/ports.ts";
import { startScriptedServer } from "../support/scripted_server.ts";
import { Terminal } from "../support/terminal.ts";
import { ScriptedWebSocket } from "../support/scripted_websocket.ts";
import { until } from "../support/wait.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const start = (port: number, clientId: string) =>
  new Program("ws-server", ["connect", `--endpoint=http://localhost:${port}`, `--client-id=${clientId}`]);

const run = (args: string[], env = {}) => runProgram("ws-server", ["connect", ...args], { env });

async function isEstablished(client: Program): Promise<string> {
  const [sessionId] = await client.line(UUID);
  return sessionId;
}

Deno.test("ws-server connect: of three that start one after the other on three processes the last one stays", async () => {
  await using cluster = await Cluster.start();
  const clients: Program[] = [];
  await using stack = new AsyncDisposableStack();
  for (const { port } of cluster.servers) {
    const client = stack.use(start(port, "test1"));
    clients.push(client);
    await isEstablished(client);
  }
  for (const client of clients.slice(0, 2)) {
    assert.equal((await client.status).code, 3);
    await until(() => client.stderr.length > 0, "it says why");
    assert.deepEqual(client.stderr, ["ERROR: disconnected: 4409 replaced by a newer connection"]);
    assert.equal(client.stdout.length, 1, "the session_id and no more");
  }
  const last = clients[2]!;
  assert.deepEqual(await sessionsOf(cluster.port(0)), new Map([["test1", last.stdout[0]!]]));

  assert.equal(await last.stop("SIGINT"), 0, "Ctrl-C is no error");
  assert.deepEqual(last.stderr, []);
  await untilListed(cluster.port(0), []);
});

Deno.test("ws-server connect: says that the server is going away, or that the connection broke", async () => {
  for (
    const [signal, why] of [
      ["SIGTERM", /^ERROR: disconnected: 1001 the server is going away/],
      ["SIGKILL", /^ERROR: disconnected: the connection broke$/],
    ] as const
  ) {
    await using server = await startServer("ws-server", ["--redis", "off"]);
    await using client = start(server.port, "kim");
    await isEstablished(client);
    server.program.kill(signal);
    assert.equal((await client.status).code, 4);
    await client.line(why);
  }
});

Deno.test("ws-server connect: what does not come about is one line that says why", async () => {
  await using server = await startServer("ws-server", ["--redis", "off", "--max-connections", "1"]);
  const url = `ws://localhost:${server.port}`;
  const nobody = freePort();
  for (
    const [args, code, line] of [
      [
        ["--endpoint=localhost:8880"],
        2,
        '"localhost:8880" is no endpoint; give one like http://localhost:8880',
      ],
      [[`--endpoint=http://localhost:${server.port}`], 2, /answers 400: client_id is missing/],
      [[`--endpoint=${url}/`, "--client-id="], 2, `${url} answers 400: client_id is empty`],
      [[`--endpoint=http://localhost:${server.port}/x`, "--client-id=a"], 1, /answers 404: no such path/],
      [[`--endpoint=http://127.0.0.1:${nobody}`, "--client-id=a"], 1, /cannot connect to ws:.*ECONNREFUSED/],
      [["--client=a"], 2, /unknown option '--client=a'/],
      [[`--port=${server.port}`, "--client-id=a"], 2, /connect does not know --port: .*--endpoint/],
    ] as const
  ) {
    const { code: exitCode, stdout, stderr } = await run([...args]);
    assert.equal(exitCode, code, stderr);
    assert.equal(stdout, "");
    if (typeof line === "string") assert.equal(stderr, `ERROR: ${line}\n`);
    else assert.match(stderr, line);
    assert.match(stderr, /^ERROR: [^\n]+\n$/);
  }

  await using first = start(server.port, "first");
  await isEstablished(first);
  const full = await run([`--endpoint=${url}`, "--client-id=second"]);
  assert.equal(full.code, 1);
  assert.match(full.stderr, /answers 503: this process has as many connections as it may have/);
});

Deno.test("ws-server connect: the token is sent as a header, and is no flag", async () => {
  let head = "";
  await using server = startScriptedServer(async (peer) => {
    for (let line; (line = await peer.hears()).trim() !== "";) head += line;
    await peer.says("HTTP/1.1 401 Unauthorized\r\ncontent-length: 19\r\n\r\nthe token is wrong\n");
    await peer.leaves();
  });
  const { code, stderr } = await run([`--endpoint=http://127.0.0.1:${server.port}`], { SOLO_TOKEN: "a.b.c" });
  assert.equal(code, 1);
  assert.match(stderr, /answers 401: the token is wrong$/m);
  assert.match(head, /^authorization: Bearer a\.b\.c\r$/im);
  assert.doesNotMatch(head, /client_id/);
});

for (
  const [what, answer, says] of [
    ["broke on the way", "content-length: 100\r\n\r\nbusy", /answers 503: busy$/],
    ["would move the cursor", "content-length: 8\r\n\r\n\x1b[2Jbusy", /answers 503: \\u001b\[2Jbusy$/],
    ["is long", `content-length: 2000\r\n\r\n${"x".repeat(2000)}`, /answers 503: x{1000}$/],
  ] as const
) {
  Deno.test(`connect: a refusal that ${what} is one line`, async () => {
    await using server = startScriptedServer(async (peer) => {
      while ((await peer.hears()).trim() !== "");
      await peer.says(`HTTP/1.1 503 Service Unavailable\r\n${answer}`);
    });
    const { code, stderr } = await run([`--endpoint=http://127.0.0.1:${server.port}`]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ERROR: [^\n]+\n$/);
    assert.match(stderr.trimEnd(), says);
  });
}

for (
  const [what, begin] of [
    ["head", "HTTP/1.1 101 Switching Protocols\r\n"],
    ["refusal", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1000000\r\n\r\n"],
  ] as const
) {
  Deno.test(`connect: a server that goes on and on with its ${what} is given up`, async () => {
    let over = false;
    await using server = startScriptedServer(async (peer) => {
      while ((await peer.hears()).trim() !== "");
      await peer.says(begin);
      // a header, or a part of the body, each of which is a sign of life
      while (!over) await Promise.all([peer.says("x: y\r\n"), new Promise((next) => setTimeout(next, 20))]);
    });
    await assert.rejects(
      connect({
        endpoint: `http://127.0.0.1:${server.port}`,
        signal: new AbortController().signal,
        print: () => {},
        handshakeMs: 200,
      }),
      { exitCode: 1, message: /no answer in 0\.2 s/ },
    ).finally(() => over = true);
  });
}

Deno.test("ws-server connect: a terminal shows what a message would do to it", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"], { env: ENV });
  await using terminal = new Terminal("ws-server", [
    ...["connect", `--endpoint=http://127.0.0.1:${server.port}`, "--client-id=kim"],
  ], { TERM: "xterm" });
  await terminal.shows(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  assert.equal((await say(server.port, "kim", "\x1b]0;mine\x07\nforged")).status, 200);
  await terminal.shows(/\\u001b\]0;mine\\u0007\\nforged/);
});

Deno.test("connect: a server that has frozen is given up", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const printed = Promise.withResolvers<string>();
  const connected = connect({
    endpoint: `http://127.0.0.1:${server.port}`,
    clientId: "kim",
    signal: new AbortController().signal,
    print: printed.resolve,
    silenceMs: 1_000, // before a PING comes, and nothing else does
  });
  connected.catch(() => {});
  await printed.promise;
  server.program.kill("SIGSTOP");
  await assert.rejects(connected, { exitCode: 4, message: /said nothing for 1000 ms/ });
});

Deno.test("connect: a PING is enough to know that the server is there, and is answered", async () => {
  const silenceMs = 5_000;
  const stop = new AbortController();
  let pongs = 0;
  await using server = await ScriptedWebSocket.start(async (visitor) => {
    const socket = await visitor.accept();
    socket.send("s");
    const startMs = performance.now();
    socket.ping();
    socket.on("pong", () => {
      pongs++;
      if (performance.now() - startMs < 1.2 * silenceMs) setTimeout(() => socket.ping(), 100);
      else socket.send("still there");
    });
  });
  const printed: string[] = [];
  await connect({
    endpoint: `http://127.0.0.1:${server.port}`,
    clientId: "kim",
    signal: stop.signal,
    print: (line) => printed.push(line) === 2 && stop.abort(),
    silenceMs,
  });
  assert.deepEqual(printed, ["s", "still there"]);
  assert.ok(pongs > 1);
});
