/** What clients together make the server hold, and how long a request may take. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Peer, startTasks } from "../support/tasks.ts";
import { until } from "../support/wait.ts";

const KIB = 1024;
const QUEUE = { maxWaiting: 10, maxWaitingBytes: 2 ** 26, maxKept: 1, maxKeptBytes: 2 ** 26 };
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
  await using server = startTasks({ connectionBytes: 200 * KIB, delayFactor: 1000 });
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

Deno.test("--connection-bytes: a result that is kept costs a slow reader nothing, one that is forgotten does", async () => {
  const data = "a".repeat(8_000 * KIB); // more than the system takes off the server's hands
  await using server = startTasks({
    connectionBytes: 12_000 * KIB,
    maxRequestBytes: 9_000 * KIB,
    queue: QUEUE,
  });
  using slow = await Peer.connect(server.port);
  await slow.ask({ type: "run", task_name: "echo", data });
  await slow.ask({ type: "status", task_id: 1 });
  await slow.send('{"type":"get_result","task_id":1}');
  await until(() => server.connectionBytes > 0, "a piece of it is held");
  assert(server.connectionBytes < 1_000 * KIB, `${server.connectionBytes} bytes are held`);
  using other = await Peer.connect(server.port);
  await other.ask({ type: "run", task_name: "sing", data: "" });
  await until(() => server.connections === 1, "the result is forgotten, and its reader is cut");
  assert.equal(server.connectionBytes, 0);
  await other.ask({ type: "stats" });
});

Deno.test("get_result: a long result arrives whole, whatever it is made of", async () => {
  await using server = startTasks({ maxRequestBytes: 9_000 * KIB });
  using peer = await Peer.connect(server.port);
  const samples = ["a👋", "👋", 'quote " and \\ and \n', "\ud800", "ы\u2028\u0000"];
  for (const [i, sample] of samples.entries()) {
    const data = sample.repeat(100_001);
    await peer.ask({ type: "run", task_name: "echo", data });
    const result = peer.ask({ type: "get_result", task_id: i + 1, wait: true });
    await peer.send('{"type":"status","task_id":1}'); // which comes behind it
    assert.deepEqual(await result, { status: "success", data }, JSON.stringify(sample));
    assert.deepEqual(await peer.reply(), { status: "success" });
  }
});

Deno.test("--connection-bytes: a result that five hundred replies wait for counts once", async () => {
  await using server = startTasks({ connectionBytes: 2_000 * KIB, delayFactor: 1000 });
  using other = await Peer.connect(server.port);
  using peer = await Peer.connect(server.port);
  const data = "a".repeat(100 * KIB);
  await peer.send('{"type":"run","task_name":"too_long_echo","data":""}{"type":"status","task_id":1}');
  await peer.send(run(data) + '{"type":"get_result","task_id":2,"wait":true}'.repeat(500));
  assert.deepEqual(await peer.reply(), { task_id: 1 });
  await until(() => server.connectionBytes > 500 * 700, "all of them are held"); // each takes 700 bytes beside its text
  await other.ask({ type: "cancel", task_id: 1 });
  assert.deepEqual([await peer.reply(), await peer.reply()], [
    { status: "error" },
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
