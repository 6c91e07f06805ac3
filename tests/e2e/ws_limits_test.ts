/** At the limits of connections and descriptors, at the start and at the end of a process. */

import assert from "node:assert/strict";
import { Cluster, sessionsOf } from "../support/cluster.ts";
import { Program, runProgram, startServer, unlessOlderRuntime } from "../support/program.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { freePort } from "../support/ports.ts";
import { startOn, testOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

async function closeAll(clients: WsClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

async function readinessOf(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.body?.cancel();
  return response.status;
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server --max-connections, ${transport}: refuses the surplus with 503, keeps the others, and recovers`,
    ),
    fn: async () => {
      await using server = await startOn(transport, ["--max-connections", "5"]);
      const clients = await Promise.all(
        Array.from({ length: 5 }, (_, i) => WsClient.establish(server.port, `client ${i}`)),
      );
      for (let i = 0; i < 3; i++) {
        using surplus = await RawWebSocket.connect(server.port, "surplus", { anyStatus: true });
        assert.equal(surplus.answer.status, 503);
        assert.equal(surplus.answer.headers.get("retry-after"), "1");
      }
      assert.equal(await readinessOf(server.port), 503, "a balancer sends no one here");
      assert.ok(clients.every((client) => client.isOpen));
      await clients.pop()![Symbol.asyncDispose]();
      await until(
        async () => await readinessOf(server.port) === 200,
        "one has left, and its descriptor is free",
      );
      assert.equal((await sessionsOf(server.port)).size, 4);
      clients.push(await WsClient.establish(server.port, "next"));
      assert.equal((await sessionsOf(server.port)).size, 5);
      await closeAll(clients);
    },
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server on SIGTERM, ${transport}: says so, waits, closes with 1001, leaves no entry, exits 0`,
    ),
    fn: async () => {
      const args = ["--drain-delay", "5", "--transport", transport];
      await using cluster = await Cluster.start({ nodes: 2, args });
      const [leaving, staying] = cluster.servers;
      const clients = await Promise.all(
        Array.from({ length: 250 }, (_, i) => WsClient.establish(leaving!.port, `client ${i}`)),
      );
      leaving!.program.kill("SIGTERM");
      await leaving!.program.line(/SIGTERM: shutting down/);
      const ready = await fetch(`http://127.0.0.1:${leaving!.port}/readyz`);
      assert.deepEqual([ready.status, await ready.text()], [503, "draining\n"]);
      using refused = await RawWebSocket.connect(leaving!.port, "late", { anyStatus: true });
      assert.equal(refused.answer.status, 503);
      assert.ok(clients.every((client) => client.isOpen), "nobody is closed during the delay");
      for (const { code } of await Promise.all(clients.map((client) => client.end()))) {
        assert.equal(code, 1001);
      }
      assert.equal((await leaving!.program.status).code, 0);
      assert.equal((await sessionsOf(staying!.port)).size, 0, "gone at once, not after a lease");
    },
  });
}

Deno.test("ws-server --drain-rate: where there is no time for it clients are told to come back at that rate", async () => {
  // the least that may be left beside the delay is enough
  const args = ["--redis", "off", "--drain-rate", "1", "--drain-delay", "1", "--shutdown-timeout", "2"];
  await using server = await startServer("ws-server", args);
  const clients = await Promise.all(
    Array.from({ length: 10 }, (_, i) => WsClient.establish(server.port, `client ${i}`)),
  );
  server.program.kill("SIGTERM");
  const reason = "the server is going away; reconnect within 10 s";
  for (const client of clients) assert.deepEqual(await client.end(), { code: 1001, reason });
  assert.equal(await server.program.end(), 0);
});

Deno.test("ws-server on a second signal: exits at once", async () => {
  const args = ["--redis", "off", "--drain-delay", "3600", "--shutdown-timeout", "3700"];
  await using server = await startServer("ws-server", args);
  server.program.kill("SIGINT");
  await server.program.line(/SIGINT: shutting down/);
  assert.equal(await server.program.stop("SIGINT"), 1);
});

Deno.test(
  unlessOlderRuntime(
    "ws-server --shutdown-timeout: ends in time whatever clients do",
    "the base runtime does not end a wait on a timeout",
  ),
  async () => {
    for (const transport of TRANSPORTS) {
      await using server = await startOn(transport, ["--shutdown-timeout", "1"]);
      using client = await RawWebSocket.connect(server.port, "kim", { answersClose: false });
      await client.text();
      assert.equal(await server.program.stop("SIGTERM"), 0);
      assert.equal((await client.close()).code, 1001);
      // one that does not answer would otherwise be waited for twice as long, and then be gone
      assert.match(server.program.text.stderr, /no time left: dropping 1 connections/, transport);
    }
  },
);

Deno.test("ws-server: a wrong command line is one line and exit 2", async () => {
  for (
    const [args, says] of [
      [
        ["--port", "99999"],
        /^ERROR: option '--port <port>' argument '99999' is invalid. Give a whole number from 0 to 65535; see ws-server --help\n$/,
      ],
      [["--prot", "1"], /^ERROR: unknown option '--prot' \(Did you mean --port\?\); see ws-server --help\n$/],
      [["--redis-prefix", "{solo}"], /^ERROR: .*--redis-prefix.*without \{ and \}.*\n$/],
      [["--redis-prefix", ""], /^ERROR: .*--redis-prefix.*one or more characters.*\n$/],
      [
        ["--redis", "redis+sentinel://solo:secret@a:26379"],
        /^ERROR: .*solo:\*\*\*@a.*Give the name of the primary.*\n$/,
      ],
      [
        ["--redis", "redis+sentinel://a:99999/mymaster"],
        /^ERROR: .*port from 1 to 65535; "a:99999" is none.*\n$/,
      ],
      [["--redis", "redis+cluster://a,b/1"], /^ERROR: .*a cluster has only one.*\n$/],
      [["--redis", "redis://a,b"], /^ERROR: .*redis\+sentinel:\/\/ or redis\+cluster:\/\/ for several.*\n$/],
      [
        ["--redis", "valkey+sentinel://a/mymaster"],
        /^ERROR: .*Give redis:\/\/<host>:<port>, redis\+sentinel.*\n$/,
      ],
      [["--redis", "localhost"], /^ERROR: .*Give redis:\/\/<host>:<port>.*\n$/],
      [["--lease", "soon"], /^ERROR: .*Give a number of seconds, 1 or more.*\n$/],
      [["--transport", "bun"], /^ERROR: .*Allowed choices are auto, deno, node.*\n$/],
      [
        ["--redis", "off", "--drain-delay", "2", "--shutdown-timeout", "1"],
        /^ERROR: --drain-delay 2 leaves no time .* --shutdown-timeout 1: give --shutdown-timeout 3 or more.*\n$/,
      ],
      [
        ["--redis", "off", "--drain-delay", "30"],
        /^ERROR: .*--shutdown-timeout 30: give --shutdown-timeout 31.*\n$/,
      ],
      [["--max-messages", "0"], /^ERROR: .*Give a whole number 1 or more.*\n$/],
      [["--max-connections", "0"], /^ERROR: .*Give a whole number 1 or more.*\n$/],
    ] as const
  ) {
    const { code, stdout, stderr } = await runProgram("ws-server", [...args]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, says);
  }
  const env = await runProgram("ws-server", [], { env: { REDIS_URL: "nonsense" } });
  assert.equal(env.code, 2);
  assert.match(env.stderr, /^ERROR: REDIS_URL is not usable.*\n$/);
});

Deno.test("ws-server: what it cannot do at the start is one line and exit 1", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const args = ["--host", "127.0.0.1", "--port", String(server.port)];
  for (const transport of TRANSPORTS) {
    const inUse = await runProgram("ws-server", [...args, "--redis", "off", "--transport", transport]);
    assert.equal(inUse.code, 1);
    assert.match(inUse.stderr, /^ERROR: cannot listen on 127\.0\.0\.1:\d+: the port is in use; .*--port\n$/);
    const where = ["--host", "192.0.2.1", "--port", "0", "--redis", "off", "--transport", transport];
    const elsewhere = await runProgram("ws-server", where);
    assert.equal(elsewhere.code, 1);
    assert.match(
      elsewhere.stderr,
      /^ERROR: cannot listen on 192\.0\.2\.1:0: this machine has no such address; .*$/m,
    );
  }
  const noRedis = await runProgram("ws-server", [...args, "--redis", `redis://127.0.0.1:${freePort()}`]);
  assert.equal(noRedis.code, 1);
  assert.match(
    noRedis.stderr,
    /^ERROR: cannot use Redis at redis:\/\/127\.0\.0\.1:\d+ after 5 s: .*--redis off\n$/,
  );
});

Deno.test("ws-server: flags win over the environment, --version and --help print and exit 0", async () => {
  const program = new Program(
    "ws-server",
    ["--host", "127.0.0.1", "--redis", "off", "--log-format", "json"],
    {
      env: { SOLO_PORT: "0", SOLO_REDIS: "redis://127.0.0.1:1", SOLO_LOG_LEVEL: "debug" },
    },
  );
  await using _ending = program;
  const { input } = await program.line(/listening on/);
  assert.equal(JSON.parse(input!).level, "INFO");
  for (const line of program.stderr) assert.doesNotThrow(() => JSON.parse(line), `no JSON: ${line}`);
  assert.match((await runProgram("ws-server", ["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
  assert.match((await runProgram("ws-server", ["--help"])).stdout, /--drain-delay <seconds>/);
});

Deno.test("ws-server --transport auto: deno where only this machine can connect, node where others can", async () => {
  for (
    const [host, transport] of [["localhost", "deno"], ["127.0.0.1", "deno"], ["0.0.0.0", "node"]] as const
  ) {
    const program = new Program("ws-server", ["--host", host, "--port", "0", "--redis", "off"]);
    await using _ending = program;
    const [, said] = await program.line(/listening on .*, transport (\w+),/);
    assert.equal(said, transport, host);
  }
});

Deno.test("ws-server health: exit 0 for a ready server, 1 with one line for any other", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const ready = await runProgram("ws-server", ["health", "--port", String(server.port)]);
  assert.deepEqual(ready, { code: 0, stdout: "ready\n", stderr: "" });
  const none = await runProgram("ws-server", ["health", "--port", String(freePort())]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^ERROR: no answer from http:\/\/127\.0\.0\.1:\d+\/readyz: .*\n$/);
});

Deno.test("ws-server: a signal that comes while it starts ends it too", async () => {
  await using cluster = await Cluster.start({ nodes: 1 }); // joining takes a second
  const program = new Program("ws-server", ["--host", "127.0.0.1", "--port", "0", ...cluster.flags]);
  await using _ending = program;
  await program.line(/holds a lease/);
  assert.equal(await program.stop("SIGTERM"), 0);
});
