import assert from "node:assert/strict";
import { ConnectionClosed, TasksClient } from "../../lib/tasks/client.ts";
import { ProtocolError } from "../../lib/tasks/protocol.ts";
import { type Peer, startScriptedServer } from "../support/scripted_server.ts";

function connect(port: number, options: { maxReplyBytes?: number; bufferBytes?: number } = {}) {
  return TasksClient.connect({ hostname: "127.0.0.1", port, ...options });
}

const status = (task_id: number) => ({ type: "status", task_id }) as const;

/** Says these words to whoever asks anything, then waits for the client to leave. */
const answering = (words: string | Uint8Array) => async (peer: Peer) => {
  await peer.hears();
  await peer.says(words);
  await peer.leaves();
};

Deno.test("TasksClient: each of several requests in flight gets its own reply", async () => {
  let heard = "";
  await using server = startScriptedServer(async (peer) => {
    heard = await peer.hears() + await peer.hears() + await peer.hears();
    await peer.says('{"task_id":7}\n{"status":"execute"}\n{"status":"success","data":"п"}\n');
  });
  await using client = await connect(server.port);
  const replies = await Promise.all([
    client.request({ type: "run", task_name: "echo", data: "п" }),
    client.request(status(7)),
    client.request({ type: "get_result", task_id: 7, wait: true }),
  ]);
  assert.equal(
    heard,
    '{"type":"run","task_name":"echo","data":"п"}\n{"type":"status","task_id":7}\n' +
      '{"type":"get_result","task_id":7,"wait":true}\n',
  );
  assert.deepEqual(replies, [{ task_id: 7 }, { status: "execute" }, { status: "success", data: "п" }]);
});

Deno.test("TasksClient: replies may be split at any byte", async () => {
  const replies = new TextEncoder().encode('{"status":"success","data":"é👨‍👩‍👧\\n}{"}\n{"status":"success"}\n');
  for (const bufferBytes of [1, 2, 3, 5, 1024]) {
    await using server = startScriptedServer(async (peer) => {
      await peer.hears();
      for (const byte of replies) await peer.says(Uint8Array.of(byte));
      await peer.leaves();
    });
    await using client = await connect(server.port, { bufferBytes });
    const both = await Promise.all([
      client.request({ type: "get_result", task_id: 1 }),
      client.request(status(1)),
    ]);
    assert.deepEqual(both, [{ status: "success", data: "é👨‍👩‍👧\n}{" }, { status: "success" }]);
  }
});

Deno.test("TasksClient: a connection closed instead of a reply is a ConnectionClosed, for all that wait", async () => {
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.says('{"status":"success"}\n');
  });
  await using client = await connect(server.port);
  const [first, second, third] = await Promise.allSettled(
    [status(1), status(2), status(3)].map((request) => client.request(request)),
  );
  assert.equal(first!.status, "fulfilled");
  for (const lost of [second!, third!]) {
    assert.ok(lost.status === "rejected" && lost.reason instanceof ConnectionClosed);
  }
  await assert.rejects(client.request(status(4)), ConnectionClosed);
});

Deno.test("TasksClient: a reset is a ConnectionClosed", async () => {
  // closing while a large request is unread makes the system reset the connection
  await using server = startScriptedServer(async (peer) => {
    await peer.conn.read(new Uint8Array(10));
  });
  await using client = await connect(server.port);
  const data = "x".repeat(20_000_000);
  await assert.rejects(client.request({ type: "run", task_name: "echo", data }), ConnectionClosed);
});

const RUBBISH: [string, string | Uint8Array][] = [
  ["another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["no JSON in the braces", "{rubbish}\n"],
  ["the reply to another request", '{"task_id":1}\n'],
  ["an unknown status", '{"status":"done"}\n'],
  ["invalid UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a)],
  ["a reply too many", '{"status":"success"}\n{"status":"success"}\n{"status":"success"}\n'],
];
for (const [title, words] of RUBBISH) {
  Deno.test(`TasksClient: ${title} is a ProtocolError and ends the connection`, async () => {
    await using server = startScriptedServer(answering(words));
    await using client = await connect(server.port);
    await Promise.allSettled([client.request(status(1)), client.request(status(2))]);
    await assert.rejects(client.request(status(3)), ProtocolError);
  });
}

Deno.test("TasksClient: a reply that stops in the middle is a ProtocolError", async () => {
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.says('{"status":"succ');
  });
  await using client = await connect(server.port);
  await assert.rejects(client.request(status(1)), ProtocolError);
});

Deno.test("TasksClient: a reply without an end is refused at the limit, not gathered", async () => {
  let said = 0;
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.says('{"status":"');
    const chunk = new Uint8Array(64 * 1024).fill(0x61);
    for (; said < 1000; said++) await peer.says(chunk);
  });
  await using client = await connect(server.port, { maxReplyBytes: 100_000 });
  await assert.rejects(client.request(status(1)), /longer than 100000 bytes/);
  assert.ok(said < 1000);
});

Deno.test("TasksClient: an aborted wait leaves the connection usable, and its late reply goes to nobody", async () => {
  const aborted = Promise.withResolvers<void>();
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await aborted.promise;
    await peer.says('{"status":"success"}\n');
    await peer.hears();
    await peer.says('{"status":"waiting","position":3}\n');
  });
  await using client = await connect(server.port);
  const controller = new AbortController();
  const wait = client.request({ type: "status", task_id: 1, wait: true }, { signal: controller.signal });
  controller.abort(new Error("no longer"));
  await assert.rejects(wait, /no longer/);
  aborted.resolve();
  assert.deepEqual(await client.request(status(2)), { status: "waiting", position: 3 });
  await assert.rejects(client.request(status(3), { signal: controller.signal }), /no longer/);
});

Deno.test("TasksClient: disposing of it ends a wait", async () => {
  await using server = startScriptedServer(async (peer) => {
    await peer.hears();
    await peer.leaves();
  });
  const client = await connect(server.port);
  const wait = assert.rejects(client.request(status(1)));
  await client[Symbol.asyncDispose]();
  await wait;
  await client[Symbol.asyncDispose]();
});

Deno.test("TasksClient.connect: a signal ends the attempt, a refusal is the system's error", async () => {
  const signal = AbortSignal.abort(new Error("changed my mind"));
  await assert.rejects(TasksClient.connect({ hostname: "127.0.0.1", port: 1, signal }), /changed my mind/);
  await assert.rejects(connect(1), Deno.errors.ConnectionRefused);
});
