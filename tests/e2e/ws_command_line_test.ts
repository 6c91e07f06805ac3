/** What ws-server makes of its command line and environment, and of all that keeps it from starting. */

import assert from "node:assert/strict";
import { Cluster } from "../support/cluster.ts";
import { freePort } from "../support/ports.ts";
import { Program, runProgram, startServer } from "../support/program.ts";
import { TRANSPORTS } from "../support/transports.ts";

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
      [["--drain-delay", "86400"], /^ERROR: .*Give a number of seconds, 0 or more, at most 86399.*\n$/],
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
