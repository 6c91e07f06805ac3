import assert from "node:assert/strict";
import { Peer, startTasks } from "../support/tasks.ts";
import { until, untilCounted } from "../support/wait.ts";

/** What breaks the protocol, each sent by a client of its own. */
const VIOLATIONS: Record<string, string | Uint8Array<ArrayBuffer>> = {
  "an unknown id": '{"type":"status","task_id":99}\n',
  "an unknown id of a result": '{"type":"get_result","task_id":99}\n',
  "an unknown id to cancel": '{"type":"cancel","task_id":99}\n',
  "an unknown type": '{"type":"stop"}\n',
  "an array": "[]\n",
  "a number": "42\n",
  "no JSON": "{hello}\n",
  "half an object on a line": '{"type":"list"\n',
  "a missing field": '{"type":"run","task_name":"echo"}\n',
  "a mistyped field": '{"type":"run","task_name":"echo","data":5}\n',
  "invalid UTF-8": Uint8Array.of(...new TextEncoder().encode('{"type":"'), 0xff, 0x22, 0x7d, 0x0a),
  "an HTTP request": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "a TLS hello": Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00),
};

for (const [what, data] of Object.entries(VIOLATIONS)) {
  Deno.test(`protocol: ${what} closes the connection without a reply`, async () => {
    await using server = startTasks();
    using peer = await Peer.connect(server.port);
    await peer.send(data);
    assert.equal(await peer.rest(), "");
  });
}

Deno.test("protocol: the replies to what came before a violation are sent", async () => {
  await using server = startTasks();
  using peer = await Peer.connect(server.port);
  await peer.send('{"type":"run","task_name":"sing","data":""}{"type":"status","task_id":1}nonsense');
  assert.equal(await peer.rest(), '{"task_id":1}\n{"status":"error"}\n');
});

Deno.test("--max-request-bytes: 2 MiB without a newline close the connection", async () => {
  await using server = startTasks();
  using peer = await Peer.connect(server.port);
  await peer.send('{"type":"run","task_name":"echo","data":"' + "a".repeat(2 * 1024 * 1024)).catch(() => {});
  assert.equal(await peer.rest(), "");
});

Deno.test("--max-request-bytes: a request of exactly that length is served, whole", async () => {
  await using server = startTasks();
  using peer = await Peer.connect(server.port);
  const frame = '{"type":"run","task_name":"echo","data":""}';
  const data = "a".repeat(1024 * 1024 - frame.length);
  await peer.send(frame.replace('""}', `"${data}"}`));
  assert.deepEqual(await peer.reply(), { task_id: 1 });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1, wait: true }), {
    status: "success",
    data,
  });
});

Deno.test("--timeout: cuts a client that sends nothing or stops in a request, not one that waits for its task", async () => {
  await using server = startTasks({ idleTimeoutMs: 1_000, delayFactor: 0.15 });
  const startMs = performance.now();
  using silent = await Peer.connect(server.port);
  using slow = await Peer.connect(server.port);
  using waiter = await Peer.connect(server.port);
  await slow.send('{"type":');
  // in one piece: between two a slow machine could fall silent
  await waiter.send('{"type":"run","task_name":"too_long_echo","data":""}{"type":"status","task_id":1}'); // 3 s
  assert.deepEqual(await Promise.all([silent.rest(), slow.rest()]), ["", ""]);
  assert(performance.now() - startMs >= 900);
  assert.deepEqual([await waiter.reply(), await waiter.reply()], [{ task_id: 1 }, { status: "success" }]);
  assert.equal(await waiter.rest(), ""); // it waits for nothing any more
});

Deno.test("--max-connections: refuses the surplus and takes new clients when others have left", async () => {
  await using server = startTasks({ maxConnections: 2 });
  {
    using first = await Peer.connect(server.port);
    using second = await Peer.connect(server.port);
    await first.ask({ type: "stats" });
    await second.ask({ type: "stats" });
    for (let i = 0; i < 50; i++) {
      using surplus = await Peer.connect(server.port);
      assert.equal(await surplus.rest(), "");
    }
    await first.ask({ type: "stats" });
  }
  await until(() => server.connections === 0, "both have left");
  using next = await Peer.connect(server.port);
  await next.ask({ type: "stats" });
});

Deno.test("backpressure: a client that never reads is left unread, cut at the deadline, and harms nobody", async () => {
  await using server = startTasks({
    writeTimeoutMs: 500,
    queue: {
      maxWaiting: 10,
      maxWaitingBytes: 2 ** 26,
      maxKept: 10,
      maxKeptBytes: 2 ** 26,
    },
  });
  using deaf = await Peer.connect(server.port);
  using other = await Peer.connect(server.port);
  await deaf.ask({ type: "run", task_name: "echo", data: "a".repeat(1_000_000) });
  await deaf.ask({ type: "status", task_id: 1 });
  const memory = () => Deno.memoryUsage().heapUsed + Deno.memoryUsage().external; // of this file's own thread
  const before = memory();
  let sent = 0;
  const request = '{"type":"get_result","task_id":1}\n'.repeat(1000);
  const flood = (async () => {
    for (;;) sent += await deaf.conn.write(new TextEncoder().encode(request));
  })();
  await assert.rejects(flood);
  await other.ask({ type: "stats" });
  assert(sent < 20_000_000, `${sent} bytes were taken`);
  assert(memory() - before < 100_000_000);
  await until(() => server.connections === 1, "the connection is cut");
});

Deno.test("backpressure: a client with a thousand held replies is left unread until it has them", async () => {
  await using server = startTasks({ delayFactor: 1000 });
  using peer = await Peer.connect(server.port);
  using other = await Peer.connect(server.port);
  await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
  const count = 3_000;
  await peer.send(
    '{"type":"status","task_id":1}' + '{"type":"run","task_name":"sing","data":""}'.repeat(count),
  );
  const failed = async () => (await other.ask({ type: "stats" }) as { failed: number }).failed;
  await untilCounted(failed, 999, "requests have taken effect, and with the first reply a thousand are held");
  for (let turn = 0; turn < 20; turn++) assert.equal(await failed(), 999, "it is left unread");
  await other.ask({ type: "cancel", task_id: 1 });
  assert.deepEqual(await peer.reply(), { status: "error" });
  for (let i = 0; i < count; i++) assert.deepEqual(await peer.reply(), { task_id: i + 2 });
});

Deno.test("partial writes: a reply larger than the system's buffers arrives whole", async () => {
  await using server = startTasks({ maxRequestBytes: 16 * 1024 * 1024 });
  using peer = await Peer.connect(server.port);
  const data = "я".repeat(5_000_000);
  await peer.ask({ type: "run", task_name: "echo", data });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1, wait: true }), {
    status: "success",
    data,
  });
});
