/** Requests: each transport has a clear answer for every one, or ends that one connection. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { sessionsOf } from "../support/cluster.ts";
import { metricOf } from "../support/metrics.ts";
import { rawRequest, writeAll } from "../support/raw_websocket.ts";
import { type Each, of, startOn, TRANSPORTS } from "../support/transports.ts";
import { PATIENCE_MS, until } from "../support/wait.ts";
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

/** What the platform refuses before we see it, and HEAD, has an answer without a body. */
const NOTHING = /^$/;
const NO_HTTP = /^this is no HTTP request\n$/;
const ONLY_GET = /^only GET and HEAD are known here\n$/;

/** What is said, where that is not the same with each transport. */
type Says = RegExp | Record<TransportName, RegExp>;

const REFUSED: [what: string, request: string, status: Each<number>, says: Says][] = [
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
  ["HEAD with an upgrade", upgrade("/?client_id=kim").replace("GET", "HEAD"), 405, NOTHING],
  ["a Host that is none", upgrade("/?client_id=kim", { Host: "a b:c" }), 400, /not a host name/],
  ["two Hosts", upgrade("/?client_id=kim", { Host: "localhost\r\nHost: localhost" }), 400, {
    deno: NOTHING,
    node: /not a host name/,
  }],
  ["no Host", upgrade("/?client_id=kim", { Host: undefined }), 400, /Host header is missing/],
  ["no HTTP", "hello\r\n\r\n", 400, { deno: NOTHING, node: NO_HTTP }],
  [
    "a head over 64 KiB",
    upgrade("/?client_id=kim", { Cookie: "x".repeat(1 << 17) }),
    { deno: 400, node: 431 },
    { deno: NOTHING, node: /^the head of a request is limited to 16 KiB\n$/ },
  ],
  ["another version", upgrade("/?client_id=kim", { "Sec-WebSocket-Version": "8" }), 400, /Version/],
  ["a key that is none", upgrade("/?client_id=kim", { "Sec-WebSocket-Key": "short" }), 400, /Key/],
  ["CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, {
    deno: ONLY_GET,
    node: /^this is no proxy\n$/,
  }],
  ["a method that nobody knows", get("/", "BREW"), { deno: 405, node: 400 }, {
    deno: ONLY_GET,
    node: NO_HTTP,
  }],
  [
    "a body over 64 KiB",
    // announced and not sent: a server that closes before it has read all resets the connection, and its answer with it
    "POST /sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 65537\r\n\r\n",
    405, // who asked is looked at first, and what for; nobody reads the body
    ONLY_GET,
  ],
  [
    "an expectation that nobody knows",
    get("/healthz").replace("close", "close\r\nExpect: tea"),
    200,
    /alive/,
  ],
  ["an upgrade to something else", get("/healthz").replace("close", "Upgrade\r\nUpgrade: h2c"), 200, /alive/],
];

for (const transport of TRANSPORTS) {
  Deno.test(`${transport}: every bad request is answered with its status and a line that says why`, async (t) => {
    await using server = await startOn(transport);
    await using witness = await WsClient.establish(server.port, "witness");
    for (const [what, request, statuses, says] of REFUSED) {
      const status = of(statuses, transport);
      await t.step(`${what}: ${status}`, async () => {
        const answer = await rawRequest(server.port, request);
        assert.match(answer, new RegExp(`^HTTP/1.[01] ${status} `), answer);
        assert.equal(answer.split("HTTP/1.").length, 2, `answered once: ${answer}`);
        const [head, body] = answer.split("\r\n\r\n", 2);
        assert.match(body ?? "", says instanceof RegExp ? says : says[transport]);
        if (status === 405) assert.match(head!, /allow: GET/i);
        if (status === 426) assert.match(head!, /upgrade: websocket/i);
      });
    }
    assert.deepEqual([...await sessionsOf(server.port)], [["witness", await witness.sessionId]]);
  });

  Deno.test(`${transport}: what is odd and allowed is served`, async () => {
    await using server = await startOn(transport);
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

  Deno.test(`${transport}: frames that come with the request to upgrade are read`, async () => {
    await using server = await startOn(transport);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const bytes = new TextEncoder().encode(upgrade("/?client_id=hasty"));
    const close = Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0); // 4000
    await connection.write(Uint8Array.from([...bytes, ...close]));
    let received = new Uint8Array();
    const buffer = new Uint8Array(4096);
    for (let n; (n = await connection.read(buffer)) !== null;) {
      received = Uint8Array.from([...received, ...buffer.subarray(0, n)]);
    }
    assert.deepEqual([...received.subarray(-4)], [0x88, 2, 0x0f, 0xa0], "the close is answered");
  });

  Deno.test(`${transport}: a request to upgrade waits for the answers to those before it`, async () => {
    await using server = await startOn(transport);
    const before = get("/readyz").replace("Connection: close\r\n", "");
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await connection.write(new TextEncoder().encode(`${before}${before}${upgrade("/?client_id=patient")}`));
    let answer = "";
    const buffer = new Uint8Array(4096);
    while (!answer.includes("\x81\x24")) { // the first frame: a text of 36 bytes, the session_id
      const count = await withDeadline(connection.read(buffer), PATIENCE_MS, `no session after ${answer}`);
      assert.ok(count !== null, answer);
      answer += new TextDecoder("latin1").decode(buffer.subarray(0, count));
    }
    assert.deepEqual(answer.match(/HTTP\/1\.1 \d+|ready/g), [
      ...["HTTP/1.1 200", "ready", "HTTP/1.1 200", "ready", "HTTP/1.1 101"],
    ]);
  });

  Deno.test(`${transport}: of requests that are sent at once each has its turn, and none outlives its client`, async () => {
    await using server = await startOn(transport);
    const readers = () => metricOf(server.port, "solo_event_readers");
    const follow = "GET /sessions HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      await connection.write(new TextEncoder().encode(follow.repeat(3)));
      await until(async () => await readers() > 0, "the first is served");
      assert.equal(await readers(), 1, "the others wait");
    }
    await until(async () => await readers() === 0, "nobody reads");
    if (transport === "deno") return; // it reads no further than it answers
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await connection.write(new TextEncoder().encode(follow + get("/healthz").repeat(100)));
    const buffer = new Uint8Array(4096);
    const end = async () => {
      while (await connection.read(buffer).catch(() => null) !== null);
    };
    await withDeadline(end(), PATIENCE_MS, "a client that sends too many at once is not cut");
  });

  Deno.test(`${transport}: a body that nobody reads is discarded, by node to a bound`, async () => {
    await using server = await startOn(transport);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const write = (text: string) => writeAll(connection, new TextEncoder().encode(text));
    await write("POST /sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    const mebibyte = `100000\r\n${"x".repeat(0x100000)}\r\n`;
    const writing = (async () => {
      for (let written = 0; written < 256; written++) await write(mebibyte);
    })();
    if (transport === "node") await assert.rejects(writing, /pipe|reset/i);
    else await writing;
  });

  Deno.test(`${transport} on localhost: listens on IPv4 and, where there is one, IPv6`, async () => {
    await using server = await startOn(transport, ["--host", "localhost"]);
    const [, address] = await server.program.line(/listening on (127\.0\.0\.1:\d+)/);
    assert.equal(address, `127.0.0.1:${server.port}`);
    const line = server.program.stderr.find((line) => line.includes("listening on"))!;
    assert.match(line, new RegExp(`transport ${transport}`));
    const answers = /and \[::1\]/.test(line) ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"];
    for (const host of answers) {
      assert.equal(await (await fetch(`http://${host}:${server.port}/readyz`)).text(), "ready\n");
    }
  });
}

// One test, since both wait for the limit of node: they wait together.
Deno.test("node: half a head is answered with 408, and so is none at all; deno waits without a limit, which Caddy has in its place", async () => {
  await using server = await startOn("deno");
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await connection.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"));
  const answer = connection.read(new Uint8Array(64)).then((n) => n ?? 0, () => 0);
  await using witness = await WsClient.establish(server.port, "witness");
  await using limited = await startOn("node");
  const half = await Promise.all([
    // the client's side stays open: this is no end of the stream, but a wait
    unfinished(limited.port, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"),
    unfinished(limited.port, ""),
  ]);
  for (const answer of half) {
    assert.match(answer, /^HTTP\/1\.1 408 .*the request was not complete in time\n$/s);
  }
  assert.equal(await Promise.race([answer, Promise.resolve("nothing")]), "nothing");
  assert.ok(witness.isOpen);
  await connection.write(new TextEncoder().encode("\r\n"));
  assert.ok(await answer > 0);
});

/** Sends the beginning of a request and reads until the server ends the connection. */
async function unfinished(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  let answer = "";
  const buffer = new Uint8Array(4096);
  for (let n; (n = await connection.read(buffer).catch(() => null)) !== null;) {
    answer += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return answer;
}
