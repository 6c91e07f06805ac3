/** Clients that show tokens, over either transport. */

import assert from "node:assert/strict";
import { ask, bearer, connect, type HeaderFields, start, test } from "../support/access.ts";
import { LASTING_LEASE_S, sessionsOf, untilListed } from "../support/cluster.ts";
import { commandOf, PROGRAMS, startServer } from "../support/program.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { Redis } from "../support/redis.ts";
import { inSeconds, KeyServer, keySetOf, signer, signWithSecret, temporaryFile } from "../support/tokens.ts";
import { until } from "../support/wait.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

test("tokens: each that is not to be believed is 401, wherever it comes", async (transport) => {
  const [rsa, ec, ed, other] = await Promise.all([
    signer("RS256", "rsa"),
    signer("ES256", "ec"),
    signer("EdDSA", "ed"),
    signer("EdDSA", "ed"),
  ]);
  await using keys = new KeyServer(() => Response.json(keySetOf(rsa, ec, ed)));
  await using server = await start(transport, [
    ...["--auth-jwks", keys.url, "--auth-audience", "solo", "--auth-issuer", "idp"],
  ]);
  const good = { sub: "kim", aud: "solo", iss: "idp", exp: inSeconds(3600) };
  const publicBytes = new TextEncoder().encode(JSON.stringify(ed.publicJwk));
  const [header, payload, signature] = (await ed.sign(good)).split(".");
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replace(/=+$/, "");
  const table: [what: string, token: string | undefined, status: number][] = [
    ["RS256", await rsa.sign(good), 101],
    ["ES256", await ec.sign(good), 101],
    ["EdDSA", await ed.sign(good), 101],
    ["no end", await ed.sign({ ...good, exp: undefined }), 101],
    ["missing", undefined, 401],
    ["nonsense", "nonsense", 401],
    ["expired", await ed.sign({ ...good, exp: inSeconds(-1) }), 401],
    ["not yet valid", await ed.sign({ ...good, nbf: inSeconds(60) }), 401],
    ["another audience", await ed.sign({ ...good, aud: "other" }), 401],
    ["no audience", await ed.sign({ ...good, aud: undefined }), 401],
    ["another issuer", await ed.sign({ ...good, iss: "other" }), 401],
    ["no claim", await ed.sign({ ...good, sub: undefined }), 401],
    ["a claim that is no client_id", await ed.sign({ ...good, sub: "a\nb" }), 401],
    ["another key of this name", await other.sign(good), 401],
    ["an unknown key", await ed.sign(good, { kid: "unknown" }), 401],
    ["another payload", `${header}.${encode({ ...good, sub: "victim" })}.${signature}`, 401],
    ["no signature", `${header}.${payload}.`, 401],
    ["alg none", `${encode({ alg: "none" })}.${payload}.`, 401],
    ["HS256 with the public key", await signWithSecret(publicBytes, good), 401],
    ["a key of another kind", await ed.sign(good, { kid: "rsa" }), 401],
    ["too long", await ed.sign({ ...good, pad: "x".repeat(8 * 1024) }), 401],
  ];
  const { port } = server;
  for (const [what, token, status] of table) {
    const places: [where: string, query: string, headers: HeaderFields][] = token === undefined
      ? [["nowhere", "client_id=kim", {}]]
      : [
        ["header", "", bearer(token)],
        ["header, with client_id", "client_id=kim", bearer(token)],
        ["subprotocol", "", { "sec-websocket-protocol": `solo, solo.token.${token}` }],
        ["query", `token=${token}`, {}],
      ];
    for (const [where, query, headers] of places) {
      const { status: seen, head } = await connect(port, query, headers);
      assert.equal(seen, status, `${what}, by ${where}`);
      if (status === 401) assert.match(head, /^www-authenticate: bearer/m);
      if (where === "subprotocol" && status === 101) assert.match(head, /^sec-websocket-protocol: solo\r?$/m);
    }
  }
  const token = await ed.sign(good);
  assert.equal((await connect(port, "client_id=lee", bearer(token))).status, 403);
  assert.equal((await connect(port, `token=${token}`, bearer(token))).status, 400);
  assert.equal((await connect(port, "", { "sec-websocket-protocol": `solo.token.${token}` })).status, 400);
  const { status } = await connect(port, "", bearer("x".repeat(64 * 1024)));
  assert.ok([400, 401, 431].includes(status), `64 KiB: ${status}`); // of a head that the transport finds too long
  assert.equal((await ask(port, "/sessions")).status, 200, "who may look is another question");
});

test("a token whose claim is not the client_id ends nobody's session", async (transport) => {
  await using server = await start(transport, [], { SOLO_AUTH_SECRET: SECRET });
  const tokenOf = (sub: string) => signWithSecret(SECRET, { sub, exp: inSeconds(3600) });
  const kim = await RawWebSocket.connect(server.port, "kim", { headers: bearer(await tokenOf("kim")) });
  using _kim = kim;
  const { text: sessionId } = await kim.text();
  const attacks: [query: string, headers: HeaderFields][] = [
    ["client_id=kim", {}],
    ["client_id=kim", bearer(await tokenOf("lee"))],
    ["client_id=kim", bearer(await tokenOf("Kim"))],
    ["client_id=kim", bearer(await signWithSecret("f".repeat(32), { sub: "kim" }))],
    [`client_id=kim&token=${await tokenOf("lee")}`, {}],
    ["client_id=kim", { "sec-websocket-protocol": `solo, solo.token.${await tokenOf("lee")}` }],
    ["client_id=lee&client_id=kim", bearer(await tokenOf("lee"))],
  ];
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all(
      attacks.map(([query, headers]) => connect(server.port, query, headers)),
    );
    assert.deepEqual(answers.map(({ status }) => status), [401, 403, 403, 401, 403, 403, 400]);
  }
  assert.deepEqual([...await sessionsOf(server.port)], [["kim", sessionId]]);
  using _newer = await RawWebSocket.connect(server.port, "kim", { headers: bearer(await tokenOf("kim")) });
  assert.equal(
    (await kim.close()).code,
    4409,
    "the first frame after the session_id: nothing has come before",
  );
});

Deno.test("ws-server: in a cluster whose processes are killed and stopped no token ends another's session", async () => {
  await using redis = await Redis.start();
  const add = () =>
    startServer("ws-server", ["--redis", redis.url, "--lease", String(LASTING_LEASE_S)], {
      env: { SOLO_AUTH_SECRET: SECRET },
    });
  await using first = await add();
  await using second = await add();
  await using doomed = await add();
  const tokenOf = (sub: string) => signWithSecret(SECRET, { sub, exp: inSeconds(3600) });
  const holders = await Promise.all(Array.from({ length: 20 }, async (_, i) => {
    const { port } = i % 2 === 0 ? first : second;
    return await RawWebSocket.connect(port, `holder ${i}`, { headers: bearer(await tokenOf(`holder ${i}`)) });
  }));
  const ids = await Promise.all(holders.map(async (holder) => (await holder.text()).text));
  const ends: number[] = [];
  const watching = holders.map(async (holder) => {
    for (let frame; (frame = await holder.frame()) !== undefined;) {
      if (frame.opcode === OPCODES.close) ends.push(new DataView(frame.payload.buffer).getUint16(0));
    }
  });
  let over = false;
  let refused = 0;
  const attack = async (id: number, ports: number[]) => {
    const tokens = [
      await tokenOf(`attacker ${id}`),
      await signWithSecret("f".repeat(32), { sub: "holder 0" }),
    ];
    for (let i = 0; !over; i++) {
      const port = ports[i % ports.length]!;
      const headers = bearer(tokens[i % 2]!);
      // a process that has been killed answers nobody, which is no success either
      const answer = await connect(port, `client_id=holder%20${i % 20}`, headers).catch(() => undefined);
      assert.ok(
        answer === undefined || [401, 403, 503].includes(answer.status),
        `answered ${answer?.status}`,
      );
      if (answer) refused++;
    }
  };
  const ports = [first.port, second.port, doomed.port];
  const attackers = Promise.all([1, 2, 3].map((id) => attack(id, ports)));
  attackers.catch(() => {}); // waited for in the end
  try {
    for (let round = 0; round < 5; round++) {
      await until(() => refused > 100 * (round + 1), "attackers are at it");
      second.program.kill("SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 300)); // far less than a lease
      second.program.kill("SIGCONT");
      if (round === 2) doomed.program.kill("SIGKILL");
    }
  } finally {
    over = true;
    await attackers;
  }
  assert.deepEqual(ends, [], "nobody was closed");
  const sessions = await sessionsOf(first.port);
  assert.deepEqual(ids.map((_, i) => sessions.get(`holder ${i}`)), ids);
  for (const holder of holders) holder[Symbol.dispose]();
  await Promise.all(watching);
});

test("a session ends with 4401 when its token does, and not before", async (transport) => {
  await using server = await start(transport, [], { SOLO_AUTH_SECRET: SECRET });
  const lasting = await signWithSecret(SECRET, { sub: "lasting", exp: inSeconds(3600) });
  using other = await RawWebSocket.connect(server.port, "lasting", { headers: bearer(lasting) });
  await other.text();
  using stack = new DisposableStack();
  /** Connects with a token that ends soon, but after the connection is there. */
  const arrive = async (clientId: string, seconds = 3) => {
    const exp = inSeconds(seconds);
    const headers = bearer(await signWithSecret(SECRET, { sub: clientId, exp }));
    const client = await RawWebSocket.connect(server.port, clientId, { headers, anyStatus: true });
    stack.use(client);
    if (client.answer.status === 101) return { client, exp };
    assert.ok(Date.now() >= exp * 1000, `refused with ${client.answer.status} before its token has ended`);
    return await arrive(clientId, 2 * seconds); // a busy machine
  };
  const clients = await Promise.all(Array.from({ length: 200 }, (_, i) => arrive(`client ${i}`)));
  for (const { client, exp } of clients) {
    await client.text();
    const { code, reason, atMs } = await client.close();
    assert.deepEqual([code, reason], [4401, "the token has expired"]);
    assert.ok(performance.timeOrigin + atMs >= exp * 1000, "not before");
  }
  await untilListed(server.port, ["lasting"]);
});

test("keys rotate while clients connect", async (transport) => {
  const [old, next] = await Promise.all([signer("ES256", "old"), signer("ES256", "next")]);
  await using keys = new KeyServer(() => Response.json(keySetOf(old)));
  await using server = await start(transport, ["--auth-jwks", keys.url]);
  let rotated = false;
  let connected = 0;
  const come = async (id: number) => {
    while (!rotated) {
      const { status } = await connect(server.port, "", bearer(await old.sign({ sub: `client ${id}` })));
      assert.equal(status, 101, "a client with the old key");
      connected++;
      await new Promise((resolve) => setTimeout(resolve, 25)); // it goes on until the keys are asked for again
    }
  };
  const crowd = Promise.all([1, 2, 3].map(come));
  crowd.catch(() => {}); // it is waited for in the end
  try {
    keys.show(keySetOf(old, next));
    await until(async () => {
      const { status } = await connect(server.port, "", bearer(await next.sign({ sub: "early" })));
      return status === 101;
    }, "the new key is known, without a restart");
  } finally {
    rotated = true;
    await crowd;
  }
  assert.ok(connected > 0);
  assert.ok(keys.asked <= 4, `asked ${keys.asked} times, not for every token that it did not know`);
});

Deno.test({
  name: "ws-server: a new secret in the file counts without a restart" +
    (PROGRAMS === "executables" ? " (left out: executables may not read where tests can write)" : ""),
  ignore: PROGRAMS === "executables",
  fn: async () => {
    await using file = await temporaryFile(`${SECRET}\n`);
    const folder = file.path.replace(/\/[^/]+$/, "");
    await using server = await startServer(
      "ws-server",
      ["--redis", "off", "--auth-secret-file", file.path],
      { command: commandOf("ws-server", [folder]) },
    );
    const before = await signWithSecret(SECRET, { sub: "kim" });
    const after = await signWithSecret("f".repeat(32), { sub: "kim" });
    assert.equal((await connect(server.port, "", bearer(before))).status, 101);
    assert.equal((await connect(server.port, "", bearer(after))).status, 401);
    await Deno.writeTextFile(file.path, "f".repeat(32));
    await until(async () => (await connect(server.port, "", bearer(after))).status === 101, "it is known");
    assert.equal((await connect(server.port, "", bearer(before))).status, 401);
  },
});
