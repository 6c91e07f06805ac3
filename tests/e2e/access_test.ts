/** Who may connect and who may look, asked of the program over either transport. What tokens and pages can do is tested beside. */

import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { ask, basic, bearer, connect, type HeaderFields, refusals, start, test } from "../support/access.ts";
import { sessionsOf } from "../support/cluster.ts";
import { EventReader } from "../support/event_reader.ts";
import { runProgram } from "../support/program.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const OPERATOR_TOKEN = "operators-token-0";

test("Host and Origin are looked at in every request, and each refusal is counted", async (transport) => {
  await using server = await start(transport, [
    ...["--allow-host", "solo.example", "--allow-origin", "https://app.example"],
  ]);
  const { port } = server;
  const here = `127.0.0.1:${port}`;
  const table: [headers: HeaderFields, upgrade: number, get: number][] = [
    [{}, 101, 200],
    [{ host: "localhost" }, 101, 200],
    [{ host: `[::1]:${port}` }, 101, 200],
    [{ host: "SOLO.example." }, 101, 200],
    [{ host: "evil.example" }, 421, 421],
    [{ host: "evil@127.0.0.1" }, 400, 400],
    [{ origin: `http://${here}` }, 101, 200],
    [{ origin: `https://${here}` }, 101, 200],
    [{ origin: "https://solo.example", host: "solo.example" }, 101, 200],
    [{ origin: "https://app.example" }, 101, 200],
    [{ origin: "https://app.example:444" }, 403, 403],
    [{ origin: "http://127.0.0.1:1" }, 403, 403],
    [{ origin: "null" }, 403, 403],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }, 403, 403],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, 101, 200],
    [{ "sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors" }, 101, 200],
  ];
  for (const [headers, upgrade, get] of table) {
    const says = JSON.stringify(headers);
    assert.equal((await connect(port, "client_id=kim", headers)).status, upgrade, `connect ${says}`);
    for (const path of ["/sessions", "/healthz", "/readyz", "/metrics", "/page/main.js", "/client.js"]) {
      assert.equal((await ask(port, path, headers)).status, get, `${path} ${says}`);
    }
  }
  const count = (status: number) => 7 * table.filter(([, upgrade]) => upgrade === status).length;
  await until(async () => {
    const { host, origin } = await refusals(port);
    return host === count(421) && origin === count(403);
  }, "all of them are counted");
});

test("every answer forbids other origins to embed it", async (transport) => {
  await using server = await start(transport, [], { SOLO_OPERATOR_TOKEN: OPERATOR_TOKEN });
  const html = { accept: "text/html" };
  for (
    const [target, headers, expected] of [
      ["/healthz", {}, 200],
      ["/readyz", {}, 200],
      ["/", {}, 426],
      ["/nothing", {}, 404],
      ["/sessions", {}, 401],
      ["/sessions", bearer(OPERATOR_TOKEN), 200],
      ["/sessions", { ...bearer(OPERATOR_TOKEN), accept: "application/json" }, 200],
      ["/metrics", bearer(OPERATOR_TOKEN), 200],
      ["/", { ...basic(OPERATOR_TOKEN), ...html }, 200],
      ["/page/main.js", basic(OPERATOR_TOKEN), 200],
      ["/healthz", { host: "evil.example" }, 421],
      ["/client.js", {}, 200],
      ["/healthz", { origin: "null" }, 403],
      ["/", { upgrade: "websocket" }, 400],
    ] as [string, HeaderFields, number][]
  ) {
    const { status, head } = await ask(server.port, target, headers);
    assert.equal(status, expected, target);
    assert.match(head, /x-content-type-options: nosniff/, `${target} ${status}`);
    assert.match(head, /cross-origin-resource-policy: same-origin/, `${target} ${status}`);
  }
});

test("a proxy says who a client is, and nobody else does", async (transport) => {
  const flags = ["--auth-header", "X-Client-Id", "--trust-proxy"];
  await using server = await start(transport, [...flags, "127.0.0.1"]);
  const { port } = server;
  assert.equal((await connect(port, "client_id=kim", {})).status, 403);
  assert.equal((await connect(port, "client_id=lee", { "x-client-id": "kim" })).status, 403);
  assert.equal((await connect(port, "", { "x-client-id": "kim, lee" })).status, 400);
  assert.equal((await connect(port, "client_id=kim", { "x-client-id": "kim" })).status, 101);
  await using stranger = await start(transport, [...flags, "10.0.0.0/8"]);
  assert.equal((await connect(stranger.port, "", { "x-client-id": "kim" })).status, 403);
});

test("operators show a token, clients and health checks do not", async (transport) => {
  await using server = await start(transport, [], { SOLO_OPERATOR_TOKEN: OPERATOR_TOKEN });
  const { port } = server;
  await using _kim = await WsClient.establish(port, "kim");
  const html = { accept: "text/html" };
  const events = { accept: "text/event-stream" };
  for (
    const [target, headers] of [
      ["/sessions", {}],
      ["/sessions", { accept: "application/json" }],
      ["/sessions", events],
      ["/sessions?x", {}],
      ["/x/../sessions", {}],
      ["/metrics", {}],
      ["/", html],
      ["/page/main.js", {}],
    ] as [string, HeaderFields][]
  ) {
    const { status, head } = await ask(port, target, headers);
    assert.equal(status, 401, target);
    assert.match(head, /^www-authenticate: basic .*bearer/m);
    assert.equal((await ask(port, target, { ...headers, ...bearer("guess") })).status, 401, target);
    if (headers.accept === events.accept) continue;
    for (const proof of [bearer(OPERATOR_TOKEN), basic(OPERATOR_TOKEN)]) {
      assert.equal((await ask(port, target, { ...headers, ...proof })).status, 200, target);
    }
  }
  const response = await fetch(`http://127.0.0.1:${port}/sessions`, {
    headers: { ...events, ...bearer(OPERATOR_TOKEN) },
  });
  await using reader = new EventReader(response.body!);
  await reader.live();
  assert.deepEqual([...reader.sessions.values()], ["kim"]);
  for (const path of ["/healthz", "/readyz", "/client.js"]) {
    assert.equal((await ask(port, path)).status, 200, path);
  }
  await until(async () => (await refusals(port, bearer(OPERATOR_TOKEN))).operator === 16, "all are counted");
});

test("--operator serves operators there, and not where clients connect", async (transport) => {
  await using server = await start(transport, ["--operator", "127.0.0.1:0"]);
  const [, operator] = await server.program.line(/operators are served at 127\.0\.0\.1:(\d+)/);
  const operatorPort = Number(operator);
  await using _kim = await WsClient.establish(server.port, "kim");
  const html = { accept: "text/html" };
  for (
    const [target, headers, here] of [
      ["/sessions", {}, 404],
      ["/metrics", {}, 404],
      ["/page/main.js", {}, 404],
      ["/", html, 426],
    ] as [string, HeaderFields, number][]
  ) {
    assert.equal((await ask(server.port, target, headers)).status, here, target);
    assert.equal((await ask(operatorPort, target, headers)).status, 200, target);
    assert.equal((await ask(operatorPort, target, { ...headers, host: "evil.example" })).status, 421, target);
  }
  for (const port of [server.port, operatorPort]) {
    for (const path of ["/readyz", "/client.js"]) assert.equal((await ask(port, path)).status, 200, path);
  }
  assert.deepEqual([...(await sessionsOf(operatorPort)).keys()], ["kim"]);
});

Deno.test("ws-server: access that cannot be had stops the start, in one line", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const operator = `127.0.0.1:${taken.addr.port}`;
  const mayRead = new RegExp(`may read in ${config.permissions["ws-server"].read.join(", ")} alone`);
  for (
    const [args, env, code, says] of [
      [["--auth-secret-file", "/run/secrets/none"], {}, 1, /there is no such file/],
      [["--auth-jwks", "/run/secrets/none"], {}, 1, /there is no such file/],
      [["--operator-token-file", "/nowhere/token"], {}, 1, mayRead],
      [["--auth-jwks", "/nowhere/keys"], {}, 1, mayRead],
      [[], { SOLO_AUTH_SECRET: "short" }, 1, /SOLO_AUTH_SECRET is not usable: it is shorter than 32 bytes/],
      [[], { SOLO_OPERATOR_TOKEN: "" }, 1, /SOLO_OPERATOR_TOKEN is not usable: it is empty/],
      [["--auth-jwks", "http://127.0.0.1:1/keys"], {}, 1, /127\.0\.0\.1:1/],
      [["--auth-header", "X-Client-Id"], {}, 2, /--trust-proxy belong together/],
      [["--auth-audience", "solo"], {}, 2, /need --auth-jwks or --auth-secret-file/],
      [["--operator", "8890"], {}, 2, /Give an address and a port/],
      [["--operator", operator], {}, 1, /the port is in use; .* choose another with --operator/],
      [[], { SOLO_HOST: "" }, 2, /'SOLO_HOST' is invalid. Give a text, or leave it out/],
      [["--allow-origin", "app.example"], {}, 2, /Give an origin/],
    ] as [string[], Record<string, string>, number, RegExp][]
  ) {
    const output = await runProgram("ws-server", ["--port", "0", "--redis", "off", ...args], { env });
    assert.equal(output.code, code, output.stderr);
    assert.match(output.stderr, /^ERROR: .*\n$/m);
    assert.match(output.stderr, says);
  }
});
