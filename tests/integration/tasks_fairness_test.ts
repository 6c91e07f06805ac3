/** What clients together make the server hold, how long a request may take, and that each has its turn. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Peer, startTasks } from "../support/tasks.ts";
import { until } from "../support/wait.ts";

const KIB = 1024;
const run = (data: string) => JSON.stringify({ type: "run", task_name: "echo", data });

/** The first so many bytes of a request that would be longer. */
const half = (bytes: number) => run("a".repeat(2 * bytes)).slice(0, bytes);

Deno.test("--connection-bytes: of begun requests the largest is closed first, and the others are served", async () => {
  await using server = startTasks({ connectionBytes: 200 * KIB });
  using small = await Peer.connect(server.port);
  using large = await Peer.connect(server.port);
  using last = await Peer.connect(server.port);
  await small.send(half(20 * KIB));
  await large.send(half(100 * KIB));
  await until(() => server.connectionBytes > 120 * KIB, "both are held");
  await last.send(half(90 * KIB));
  assert.equal(await large.rest(), "");
  await small.send('"}');
  assert.deepEqual(await small.reply(), { task_id: 1 });
  await last.send('"}');
  assert.deepEqual(await last.reply(), { task_id: 2 });
  await until(() => server.connectionBytes === 0, "nothing is held");
});

Deno.test("--connection-bytes: held replies count with all that they take", async () => {
  await using server = startTasks({ connectionBytes: 200 * KIB, delayFactor: 1 });
  using modest = await Peer.connect(server.port);
  using greedy = await Peer.connect(server.port);
  await modest.ask({ type: "run", task_name: "too_long_echo", data: "" });
  await modest.send('{"type":"status","task_id":1}{"type":"run","task_name":"sing","data":""}');
  await until(() => server.connectionBytes > 0, "replies are held");
  await greedy.send('{"type":"status","task_id":1,"wait":true}'.repeat(900)); // 37 KB of requests
  assert.equal(await greedy.rest(), "");
  assert(server.connectionBytes < 10 * KIB, `${server.connectionBytes} bytes are held for two replies`);
  using other = await Peer.connect(server.port);
  await other.ask({ type: "cancel", task_id: 1 });
  assert.deepEqual(await modest.reply(), { status: "error" });
  assert.deepEqual(await modest.reply(), { task_id: 2 });
  await until(() => server.connectionBytes === 0, "nothing is held");
});

Deno.test("--connection-bytes: a client whose own reply is too much is closed, and leaves nothing behind", async () => {
  await using server = startTasks({ connectionBytes: 200 * KIB, maxRequestBytes: 160 * KIB });
  using peer = await Peer.connect(server.port);
  for (let task_id = 1; task_id <= 2; task_id++) {
    await peer.ask({ type: "run", task_name: "echo", data: "a".repeat(150 * KIB) });
  }
  const asking = peer.send('{"type":"get_result","task_id":1,"wait":true}{"type":"get_result","task_id":2}');
  assert.equal(await peer.rest(), "");
  await asking.catch(() => {});
  await until(() => server.connections === 0, "the connection is gone");
  assert.equal(server.connectionBytes, 0);
});

Deno.test("--connection-bytes: a result that a thousand replies wait for counts once", async () => {
  await using server = startTasks({ connectionBytes: 2_000 * KIB, delayFactor: 0.05 });
  using peer = await Peer.connect(server.port);
  const data = "a".repeat(100 * KIB);
  await peer.send('{"type":"run","task_name":"too_long_echo","data":""}{"type":"status","task_id":1}');
  await peer.send(run(data) + '{"type":"get_result","task_id":2,"wait":true}'.repeat(500));
  assert.deepEqual([await peer.reply(), await peer.reply(), await peer.reply()], [
    { task_id: 1 },
    { status: "success" },
    { task_id: 2 },
  ]);
  for (let i = 0; i < 500; i++) assert.deepEqual(await peer.reply(), { status: "success", data });
});

Deno.test("a request that is begun must be complete in time; requests that are, and waits, may take longer", async () => {
  const requestTimeoutMs = 300;
  await using server = startTasks({ requestTimeoutMs, delayFactor: 0.1 });
  using waiter = await Peer.connect(server.port);
  using busy = await Peer.connect(server.port);
  using slow = await Peer.connect(server.port);
  await waiter.send('{"type":"run","task_name":"too_long_echo","data":""}{"type":"status","task_id":1}'); // 2 s
  const ends = slow.rest();
  let isOver = false;
  ends.then(() => isOver = true);
  for (const letter of half(1000)) { // it never falls silent
    if (isOver) break;
    await slow.send(letter).catch(() => {});
    await busy.ask({ type: "stats" });
    await delay(10);
  }
  assert.equal(await ends, "");
  assert.deepEqual(await waiter.reply(), { task_id: 1 });
  assert.deepEqual(await waiter.reply(), { status: "success" });
  await busy.ask({ type: "stats" });
});

/** Asks that never end, and how much of their answer comes while another client waits for one reply. */
const FLOODS: Record<string, string> = {
  "stats": '{"type":"stats"}\n',
  "list": '{"type":"list"}\n',
  "run and list in turn": '{"type":"run","task_name":"too_long_echo","data":""}\n{"type":"list"}\n',
};
for (const [what, request] of Object.entries(FLOODS)) {
  Deno.test(`fair: a client that pipelines ${what} without end has a turn, and then another has`, async () => {
    await using server = startTasks();
    using good = await Peer.connect(server.port);
    await good.send('{"type":"run","task_name":"sing","data":""}'.repeat(1000));
    for (let i = 0; i < 1000; i++) await good.reply();
    const flood = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    let received = 0;
    const reading = (async () => {
      const buffer = new Uint8Array(256 * KIB);
      for (let n; (n = await flood.read(buffer)) !== null;) received += n;
    })().catch(() => {});
    const writing = (async () => {
      const bytes = new TextEncoder().encode(request.repeat(5_000));
      for (;;) {
        for (let sent = 0; sent < bytes.length;) sent += await flood.write(bytes.subarray(sent));
        await delay(0); // all of this shares one event loop
      }
    })().catch(() => {});
    await until(() => received > 0, "the flood has begun");
    const meanwhile: number[] = [];
    for (let i = 0; i < 50; i++) {
      const before = received;
      await good.ask({ type: "stats" });
      meanwhile.push(received - before);
    }
    flood.close();
    await Promise.all([reading, writing]);
    meanwhile.sort((a, b) => a - b);
    assert(meanwhile.at(-1)! > 0, "the flood went on");
    const median = meanwhile[25]!;
    assert(
      median < 2_000 * KIB,
      `${median} bytes of replies to another client while one waits: ${meanwhile}`,
    );
  });
}
