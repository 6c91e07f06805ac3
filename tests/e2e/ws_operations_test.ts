/** What operators do with one session, asked of one process over either transport. Clusters are beside. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { sessionsOf } from "../support/cluster.ts";
import {
  type Answer,
  ask,
  ENDED,
  ENV,
  establish,
  ifMatch,
  pathOf,
  say,
  statusOf,
  TOKEN,
  UNKNOWN_ID,
} from "../support/operator.ts";
import { startServer } from "../support/program.ts";
import { rawRequest, RawWebSocket } from "../support/raw_websocket.ts";
import { startOn, testOn, TRANSPORTS } from "../support/transports.ts";

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
      const plain = { headers: { accept: "text/plain, application/json;q=0.5, text/event-stream;q=0" } };
      for (const target of [path, "/sessions"]) {
        assert.equal(
          (await ask(port, "GET", target, plain)).text,
          found.text,
          `${target}: what it would rather have`,
        );
      }

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
