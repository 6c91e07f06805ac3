import assert from "node:assert/strict";
import { Crowd } from "../support/crowd.ts";
import { comesToRest } from "../support/process.ts";
import { runProgram, type Server, startServer } from "../support/program.ts";
import { Peer } from "../support/tasks.ts";
import { until } from "../support/wait.ts";

Deno.test("tasks-server: revers takes its two seconds, and a client of the original kind gets its replies", async () => {
  await using server = await startServer("tasks-server");
  // one object with no newline after it, then one recv
  const client = `
import json, socket, sys, time
sock = socket.create_connection(("127.0.0.1", ${server.port}))
def ask(request):
    sock.sendall(json.dumps(request).encode())
    return json.loads(sock.recv(1024))
start = time.monotonic()
print(ask({"type": "run", "task_name": "revers", "data": "пример"}))
print(ask({"type": "status", "task_id": 1}))
print(2 <= time.monotonic() - start)
print(ask({"type": "get_result", "task_id": 1}))
print(ask({"type": "get_result", "task_id": 1}))
sock.sendall(json.dumps({"type": "status", "task_id": 5}).encode())
print(sock.recv(1024))
`;
  const { stdout, stderr } = await new Deno.Command("python3", { args: ["-c", client] }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(
    new TextDecoder().decode(stdout),
    `{'task_id': 1}
{'status': 'success'}
True
{'status': 'success', 'data': 'ремирп'}
{'status': 'success', 'data': 'ремирп'}
b''
`,
  );
  await server.program.line(/warning closed 127\.0\.0\.1:\d+: "no task 5 is known"$/);
});

Deno.test("tasks-server: says where it listens, and both signals end it with 0", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await using server = await startServer("tasks-server");
    using peer = await Peer.connect(server.port);
    await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
    await peer.send('{"type":"status","task_id":1}');
    assert.equal(await server.program.stop(signal), 0);
    assert.equal(await peer.rest(), "");
    const lines = server.program.stderr.map((line) => line.replace(/^\S+ /, "").replace(/:\d+/, ":PORT"));
    assert.deepEqual(lines, [
      "info tasks-server 0.1.0 listening on 127.0.0.1:PORT",
      `info ${signal}: stopping, clients connected: 1`,
      "info stopped",
    ]);
    assert.deepEqual(server.program.stdout, []);
  }
});

Deno.test("tasks-server: a client that does not read holds up the end until a second signal", async () => {
  await using server = await startServer("tasks-server", [
    ...["--max-request-bytes", "16000000", "--receiving-buffer-size", "1000000"], // by the KiB it takes its time
  ]);
  using deaf = await Peer.connect(server.port);
  await deaf.ask({ type: "run", task_name: "echo", data: "a".repeat(15_000_000) });
  await deaf.ask({ type: "status", task_id: 1 });
  await deaf.send('{"type":"get_result","task_id":1}');
  await deaf.send('{"type":"stats"}');
  await deaf.conn.read(new Uint8Array(1)); // it is at it, with more than the system takes off its hands
  server.program.kill("SIGTERM");
  await server.program.line(/SIGTERM: stopping/);
  assert.equal(await server.program.stop("SIGTERM"), 1);
});

Deno.test("tasks-server: a port in use is one line and exit code 1", async () => {
  await using server = await startServer("tasks-server");
  const { code, stdout, stderr } = await runProgram("tasks-server", [
    ...["--host", "127.0.0.1", "--port", String(server.port)],
  ]);
  assert.deepEqual({ code, stdout, stderr }, {
    code: 1,
    stdout: "",
    stderr:
      `ERROR: cannot listen on 127.0.0.1:${server.port}: the port is in use; stop the program that holds it, ` +
      "or choose another with --port\n",
  });
});

Deno.test("tasks-server: a wrong command line is one line and exit code 2", async () => {
  const wrong: [string[], RegExp][] = [
    [["--prot", "1"], /^ERROR: unknown option '--prot' \(Did you mean --port\?\)/],
    [
      ["--port", "x"],
      /^ERROR: option '--port <port>' argument 'x' is invalid\. Give a whole number from 0 to 65535/,
    ],
    [["-t", "0"], /^ERROR: .*Give a number of seconds, 0\.001 or more/],
    [["-l", "0"], /^ERROR: .*Give a whole number from 1 to/],
    [["--delay-factor", "-1"], /^ERROR: .*Give a number from 0 to 1000/],
    [["--metrics", "9464"], /^ERROR: .*Give <host>:<port>, such as 127\.0\.0\.1:9464/],
    [["now"], /^ERROR: too many arguments/],
  ];
  for (const [args, pattern] of wrong) {
    const { code, stdout, stderr } = await runProgram("tasks-server", args);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
    assert.match(stderr, pattern);
    assert.equal(stderr.trimEnd().split("\n").length, 1);
  }
});

Deno.test("tasks-server: every flag is taken, in both spellings", async () => {
  for (const [size, limit] of [["_buffer_size", "_limit"], ["-buffer-size", "-limit"]]) {
    await using server = await startServer("tasks-server", [
      ...[
        `--receiving${size}`,
        "64",
        `--connection${limit}=5`,
        "--timeout",
        "60",
        "--max-request-bytes",
        "100",
      ],
      ...["--max-connections", "1", "--queue-limit", "1", "--queue-bytes", "1000", "--keep-results", "1"],
      ...["--keep-bytes", "1000", "--task-timeout", "0.5", "--connection-bytes", "100000"],
      ...["--metrics", "127.0.0.1:0", "--log-level", "debug", "--log-format", "text"],
    ]);
    using peer = await Peer.connect(server.port);
    await peer.ask({ type: "stats" });
    using surplus = await Peer.connect(server.port);
    assert.equal(await surplus.rest(), "");
    await server.program.line(/warning refused 127\.0\.0\.1:\d+: "1 are open \(--max-connections\)"$/);
    await server.program.line(/info metrics on http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  }
});

Deno.test("tasks-server: what its flags say is what clients meet", async () => {
  const closed = async (peer: Peer, server: Server, why: RegExp) => {
    assert.equal(await peer.rest(), "");
    await server.program.line(new RegExp(`warning closed .*: "${why.source}`));
  };
  {
    await using server = await startServer("tasks-server", ["--timeout", "0.5"]);
    using silent = await Peer.connect(server.port);
    await closed(silent, server, /it sent nothing for 0\.5 s/);
  }
  {
    await using server = await startServer("tasks-server", [
      ...["--max-request-bytes", "100", "--queue-bytes", "10", "--keep-results", "1"],
      ...["--connection-bytes", "1000", "--delay-factor", "1000"],
    ]);
    using large = await Peer.connect(server.port);
    await large.send(`{"type":"run","task_name":"echo","data":"${"x".repeat(100)}"}`);
    await closed(large, server, /request is longer than 100 bytes/);
    using peer = await Peer.connect(server.port);
    const add = (task_name: string, data = "") => peer.ask({ type: "run", task_name, data });
    assert.deepEqual(await add("echo", "xxxxxx"), { error: "queue is full" });
    assert.deepEqual(await add("too_long_echo"), { task_id: 1 });
    using greedy = await Peer.connect(server.port);
    await greedy.send('{"type":"status","task_id":1,"wait":true}'.repeat(2)); // each takes 700 bytes
    await closed(greedy, server, /it held most/);
    for (const task_id of [2, 3]) assert.deepEqual(await add("sing"), { task_id });
    await peer.send('{"type":"status","task_id":2}');
    await closed(peer, server, /no task 2 is known/);
  }
  {
    await using server = await startServer("tasks-server", [
      ...["--task-timeout", "0.001", "--keep-bytes", "1", "--delay-factor", "0"],
    ]);
    using peer = await Peer.connect(server.port);
    const run = JSON.stringify({ type: "run", task_name: "revers", data: "ж".repeat(500_000) }); // takes far longer
    await peer.send(run + '{"type":"get_result","task_id":1,"wait":true}'); // who asks later finds it forgotten
    assert.deepEqual(await peer.reply(), { task_id: 1 });
    const result = await peer.reply();
    assert.deepEqual(result, { status: "error", data: null, error: "took longer than 0.001 s" });
    await peer.send('{"type":"status","task_id":1}');
    await closed(peer, server, /no task 1 is known/);
  }
});

Deno.test("tasks-server --metrics: serves metrics and health there, by flag or variable; where it cannot, it says so", async () => {
  const address = /metrics on (http:\/\/127\.0\.0\.1:(\d+))\/metrics/;
  await using server = await startServer("tasks-server", ["--metrics", "127.0.0.1:0"]);
  const [, url, port] = await server.program.line(address);
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 200, path);
    await response.body!.cancel();
  }
  {
    const env = { SOLO_METRICS: "127.0.0.1:0" };
    await using other = await startServer("tasks-server", [], { env });
    const [, url] = await other.program.line(address);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^solo_tasks_waiting 0$/m);
  }
  assert.deepEqual(await runProgram("tasks-server", ["--port", "0", "--metrics", `127.0.0.1:${port}`]), {
    code: 1,
    stdout: "",
    stderr:
      `ERROR: cannot listen on 127.0.0.1:${port}: the port is in use; stop the program that holds it, or ` +
      "choose another with --metrics\n",
  });
  assert.equal(await server.program.stop(), 0);
});

Deno.test("tasks-server: a flood of bad clients is summed up in the log, with why and who", async () => {
  await using server = await startServer("tasks-server");
  const total = 300;
  const startMs = performance.now();
  for (let i = 0; i < total; i++) {
    using peer = await Peer.connect(server.port);
    await peer.send(i % 2 === 0 ? "GET / HTTP/1.1\r\n\r\n" : '{"type":"status","task_id":7}');
    assert.equal(await peer.rest(), "");
  }
  const line = /warning closed (?:(\d+) connections in a second, such as "127[^"]*"|127\S+): "(.*)"$/;
  const counts = () => {
    const found = server.program.stderr.map((text) => text.match(line)).filter((match) => match !== null);
    const sum = (reason: string) =>
      found.filter(([, , why]) => why === reason).reduce((sum, [, count = 1]) => sum + Number(count), 0);
    return { lines: found.length, http: sum("no JSON object"), unknown: sum("no task 7 is known") };
  };
  await until(() => counts().http + counts().unknown === total, "all are in the log");
  const { lines, ...sums } = counts();
  assert.deepEqual(sums, { http: total / 2, unknown: total / 2 });
  const seconds = Math.ceil((performance.now() - startMs) / 1000);
  assert.ok(lines <= 2 * (seconds + 1), `${lines} lines in ${seconds} s`); // one for each reason and second
});

Deno.test("tasks-server --version and --help: to stdout, exit code 0", async () => {
  const version = await runProgram("tasks-server", ["--version"]);
  assert.deepEqual(version, { code: 0, stdout: "0.1.0\n", stderr: "" });
  const { code, stdout, stderr } = await runProgram("tasks-server", ["--help"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  for (
    const name of [
      "--host",
      "--port",
      "-r, --receiving_buffer_size",
      "-l, --connection_limit",
      "-t, --timeout",
    ]
  ) {
    assert(stdout.includes(name), name);
  }
});

Deno.test("tasks-server: at the descriptor limit it goes on, and accepts again when descriptors are free", async () => {
  await using server = await startServer("tasks-server", ["--max-connections", "1000"]);
  using held = await Peer.connect(server.port);
  await held.ask({ type: "stats" });
  const limit = await new Deno.Command("prlimit", {
    args: ["--pid", `${server.program.pid}`, "--nofile=60:60"],
  })
    .output();
  assert(limit.success, new TextDecoder().decode(limit.stderr));
  {
    using _surplus = await Crowd.connect(server.port, 80, () => "");
    await server.program.line(/error cannot accept a connection: .*Too many open files/);
    await held.ask({ type: "stats" });
    await comesToRest(server.program.pid); // it does not try again and again
  }
  await until(async () => {
    const stats = await held.ask({ type: "stats" }) as { connections: number };
    return stats.connections === 1;
  }, "the others are gone");
  using late = await Peer.connect(server.port);
  assert.deepEqual(await late.ask({ type: "run", task_name: "echo", data: "" }), { task_id: 1 });
});
