/** What operators do with one session of a cluster, from whichever process. */

import assert from "node:assert/strict";
import { ENDING_LEASE_S } from "../support/cluster.ts";
import {
  type Answer,
  ask,
  ENDED,
  establish,
  ifMatch,
  pathOf,
  say,
  startCluster,
  statusOf,
  UNKNOWN_ID,
} from "../support/operator.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { ENDING_LEASE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

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
    await using cluster = await startCluster({ leaseS: ENDING_LEASE_S });
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
    assert.ok(leaseEnd <= nowMs + ENDING_LEASE_MS / 20, "the lease of its process is over");
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
  await using cluster = await startCluster({ nodes: 1 });
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
  /** Waits until each says this; a process that had no time for its lease says so first. */
  const untilSaid = async (server: { port: number }, why: string) => {
    let texts: string[] = [];
    await until(async () => {
      const answers = await operate(server);
      for (const { status, text } of answers) assert.equal(status, 503, text);
      texts = answers.map(({ text }) => text);
      return texts.every((text) => text.startsWith(`the session registry has no answer: ${why}`));
    }, () => `all say "${why}", and not ${texts.join("")}`);
  };
  await untilSaid(await cluster.add(), "this process has yet to hear from the others");
  await cluster.redis.command("FLUSHALL");
  await untilSaid(cluster.servers[0]!, "Redis may have lost data, and has yet to hear from all processes");
});
