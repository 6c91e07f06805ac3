/** Whatever is sent to a ws-server: a clear answer, or the end of that one connection. */

import assert from "node:assert/strict";
import { sessionsOf } from "../support/cluster.ts";
import { startServer, unlessOlderRuntime } from "../support/program.ts";
import { encodeFrame, OPCODES, rawRequest, RawWebSocket } from "../support/raw_websocket.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const UPGRADE = {
  Host: "localhost",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "c29sbyB0ZXN0IGtleSAxMg==",
};

/** A request that wants to be upgraded, with some headers replaced or, where `undefined`, left out. */
function upgrade(target: string, headers: Record<string, string | undefined> = {}): string {
  const lines = Object.entries({ ...UPGRADE, ...headers })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function get(target: string, method = "GET"): string {
  return `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
}

const REFUSED: [what: string, request: string, status: number, says: RegExp][] = [
  ["no client_id", upgrade("/"), 400, /client_id is missing/],
  ["another parameter", upgrade("/?client=kim"), 400, /client_id is missing/],
  ["an empty client_id", upgrade("/?client_id="), 400, /client_id is empty/],
  ["two client_ids", upgrade("/?client_id=a&client_id=b"), 400, /more than once/],
  ["a client_id of 257 bytes", upgrade(`/?client_id=${"x".repeat(257)}`), 400, /longer than 256 bytes/],
  [
    "a client_id of 129 letters of two bytes",
    upgrade(`/?client_id=${"%D1%8F".repeat(129)}`),
    400,
    /longer than 256/,
  ],
  ["a line feed in the client_id", upgrade("/?client_id=a%0Ab"), 400, /control characters/],
  ["a NUL in the client_id", upgrade("/?client_id=a%00b"), 400, /control characters/],
  ["a next-line character (U+0085)", upgrade("/?client_id=a%C2%85b"), 400, /control characters/],
  ["a line separator (U+2028)", upgrade("/?client_id=a%E2%80%A8b"), 400, /line separators/],
  ["a client_id that is not UTF-8", upgrade("/?client_id=%FF%FE"), 400, /not UTF-8/],
  ["no upgrade", get("/?client_id=kim"), 426, /connect with a WebSocket/],
  ["no key", upgrade("/?client_id=kim", { "Sec-WebSocket-Key": undefined }), 400, /sec-websocket-key/i],
  ["no Connection: Upgrade", upgrade("/?client_id=kim", { Connection: "keep-alive" }), 400, /upgrade/i],
  ["another path", upgrade("/chat?client_id=kim"), 404, /\/sessions/],
  ["a path named like a property", get("/__proto__"), 404, /no such path/],
  ["POST to /sessions", get("/sessions", "POST"), 405, /GET/],
  ["DELETE of /", get("/?client_id=kim", "DELETE"), 405, /GET/],
  ["a Host that is none", upgrade("/?client_id=kim", { Host: "a b:c" }), 400, /./],
  ["no Host", upgrade("/?client_id=kim", { Host: undefined }), 400, /Host header is missing/],
  ["no HTTP", "hello\r\n\r\n", 400, /^/],
  ["a head over 64 KiB", upgrade("/?client_id=kim", { Cookie: "x".repeat(1 << 17) }), 400, /^/],
];

Deno.test(
  unlessOlderRuntime(
    "ws-server: every bad request is answered with its status and a line that says why",
    "the base runtime does not always answer who has half-closed",
  ),
  async (t) => {
    await using server = await startServer("ws-server", ["--redis", "off"]);
    await using witness = await WsClient.establish(server.port, "witness");
    for (const [what, request, status, says] of REFUSED) {
      await t.step(what, async () => {
        const answer = await rawRequest(server.port, request);
        assert.match(answer, new RegExp(`^HTTP/1.[01] ${status} `), answer);
        const [head, body] = answer.split("\r\n\r\n", 2);
        assert.match(body ?? "", says);
        if (status === 405) assert.match(head!, /allow: GET, HEAD/i);
        if (status === 426) assert.match(head!, /upgrade: websocket/i);
      });
    }
    assert.deepEqual([...await sessionsOf(server.port)], [["witness", await witness.sessionId]]);
  },
);

Deno.test("ws-server: what is odd and allowed is served", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const ids = ["x".repeat(256), "я".repeat(128), "two words", " ", "👨‍👩‍👧", "a=b&c", "+", "%", "__proto__"];
  const clients = await Promise.all(ids.map((id) => WsClient.establish(server.port, id)));
  assert.deepEqual(new Set((await sessionsOf(server.port)).keys()), new Set(ids));
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  for (const path of ["/healthz", "/readyz", "/metrics", "/sessions"]) {
    const head = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(await head.text(), "");
  }
});

Deno.test("ws-server: a message over 64 KiB ends the session with 1009, one of 64 KiB does not", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  await using kim = await WsClient.establish(server.port, "kim");
  kim.send("x".repeat(64 * 1024));
  kim.send("я".repeat(32 * 1024));
  kim.send(new Uint8Array(64 * 1024));
  using lee = await RawWebSocket.connect(server.port, "lee");
  await lee.text();
  await lee.send(OPCODES.text, "x".repeat(64 * 1024 + 1));
  assert.deepEqual((await lee.close()).code, 1009);
  await using max = await WsClient.establish(server.port, "max");
  max.send("я".repeat(32 * 1024) + "!");
  assert.deepEqual(await max.end(), { code: 1009, reason: "messages are limited to 64 KiB" });
  await until(async () => (await sessionsOf(server.port)).size === 1, "the others are listed no longer");
  assert.deepEqual([...(await sessionsOf(server.port)).keys()], ["kim"]);
});

Deno.test("ws-server: invalid UTF-8 in a text ends that one connection", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  await using witness = await WsClient.establish(server.port, "witness");
  using bad = await RawWebSocket.connect(server.port, "bad");
  await bad.text();
  await bad.send(OPCODES.text, new Uint8Array([0xff, 0xfe]));
  await bad.gone;
  assert.deepEqual([...await sessionsOf(server.port)], [["witness", await witness.sessionId]]);
});

Deno.test("ws-server: a text of 600 MiB in fragments ends that one connection, not the process", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  await using witness = await WsClient.establish(server.port, "witness");
  using giant = await RawWebSocket.connect(server.port, "giant");
  await giant.text();
  const fragment = encodeFrame(OPCODES.continuation, new Uint8Array(60 * 1024 * 1024).fill(120), {
    fin: false,
  });
  try {
    await giant.send(OPCODES.text, "", { fin: false });
    for (let i = 0; i < 10; i++) await giant.write(fragment);
    await giant.send(OPCODES.continuation, "");
  } catch {
    // the server has ended it already
  }
  await giant.gone;
  await using after = await WsClient.establish(server.port, "after");
  assert.deepEqual(
    await sessionsOf(server.port),
    new Map([["witness", await witness.sessionId], ["after", await after.sessionId]]),
  );
});
