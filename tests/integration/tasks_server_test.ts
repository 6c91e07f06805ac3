import assert from "node:assert/strict";
import type { TasksServer } from "../../lib/tasks/server.ts";
import { Peer, startTasks } from "../support/tasks.ts";
import { until } from "../support/wait.ts";

const request = (type: string, fields = {}) => JSON.stringify({ type, ...fields });
const run = (task_name: string, data: string) => request("run", { task_name, data });

/** A server and one client. */
async function start(options: Parameters<typeof startTasks>[0] = {}) {
  const server = startTasks(options);
  const peer = await Peer.connect(server.port);
  return {
    server,
    peer,
    async [Symbol.asyncDispose]() {
      peer[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function waits(server: TasksServer, tasks: number): Promise<void> {
  using peer = await Peer.connect(server.port);
  await until(async () => {
    const { waiting, executing } = await peer.ask({ type: "stats" }) as {
      waiting: number;
      executing: number;
    };
    return waiting + executing === tasks;
  }, `${tasks} tasks wait or execute`);
}

Deno.test("run: ids count up from 1", async () => {
  await using both = await start();
  const { peer } = both;
  for (const task_id of [1, 2, 3]) {
    assert.deepEqual(await peer.ask({ type: "run", task_name: "echo", data: "" }), { task_id });
  }
});

Deno.test("status: on the connection that started the task it is answered when the task has ended", async () => {
  await using both = await start({ delayFactor: 0.1 });
  const { peer } = both;
  const startMs = performance.now();
  await peer.ask({ type: "run", task_name: "revers", data: "пример" });
  assert.deepEqual(await peer.ask({ type: "status", task_id: 1 }), { status: "success" });
  assert(performance.now() - startMs >= 199);
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1 }), { status: "success", data: "ремирп" });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1 }), { status: "success", data: "ремирп" });
});

Deno.test("status: wait:false on that connection, and none on another, are answered at once", async () => {
  await using both = await start({ delayFactor: 1000 });
  const { server, peer } = both;
  using other = await Peer.connect(server.port);
  for (let i = 0; i < 3; i++) await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
  assert.deepEqual(await peer.ask({ type: "status", task_id: 1, wait: false }), { status: "execute" });
  assert.deepEqual(await other.ask({ type: "status", task_id: 2 }), { status: "waiting", position: 1 });
  assert.deepEqual(await other.ask({ type: "status", task_id: 3 }), { status: "waiting", position: 2 });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1 }), { status: "execute", data: null });
});

Deno.test("wait:true: works on any connection, for status and get_result", async () => {
  await using both = await start();
  const { server, peer } = both;
  using other = await Peer.connect(server.port);
  await peer.ask({ type: "run", task_name: "revers", data: "ab" });
  await other.send(
    request("status", { task_id: 1, wait: true }) + request("get_result", { task_id: 1, wait: true }),
  );
  assert.deepEqual(await other.reply(), { status: "success" });
  assert.deepEqual(await other.reply(), { status: "success", data: "ba" });
});

Deno.test("replies: come in the order of requests, and later requests take effect while one waits", async () => {
  await using both = await start({ delayFactor: 1000 });
  const { server, peer } = both;
  await peer.send([
    run("too_long_echo", "1"),
    request("status", { task_id: 1 }), // waits until the task is cancelled below
    run("echo", "2"),
    request("get_result", { task_id: 2, wait: true }),
    request("status", { task_id: 2, wait: false }),
  ].join("\n"));
  assert.deepEqual(await peer.reply(), { task_id: 1 });
  await waits(server, 2);
  await peer.send(request("cancel", { task_id: 1 }));
  assert.deepEqual(await peer.reply(), { status: "error" });
  assert.deepEqual(await peer.reply(), { task_id: 2 });
  assert.deepEqual(await peer.reply(), { status: "success", data: "2" });
  assert.deepEqual(await peer.reply(), { status: "success" }, "as it stands when its turn has come");
  assert.deepEqual(await peer.reply(), { cancelled: true, status: "error" });
});

Deno.test("replies: run, status and get_result in one packet end with the result", async () => {
  await using both = await start({ delayFactor: 0.01 });
  const { peer } = both;
  await peer.send(
    run("revers", "пример") + request("status", { task_id: 1 }) + request("get_result", { task_id: 1 }),
  );
  assert.deepEqual(await peer.reply(), { task_id: 1 });
  assert.deepEqual(await peer.reply(), { status: "success" });
  assert.deepEqual(await peer.reply(), { status: "success", data: "ремирп" });
});

Deno.test("pipelining: thousands of requests in one write, with and without newlines", async () => {
  await using both = await start();
  const { peer } = both;
  for (const end of ["\n", "", "\r\n", " \n\n"]) {
    await Promise.all([
      peer.send((run("echo", "x") + end).repeat(2_000)),
      (async () => {
        const first = (await peer.reply() as { task_id: number }).task_id;
        for (let i = 1; i < 2_000; i++) assert.deepEqual(await peer.reply(), { task_id: first + i });
      })(),
    ]);
  }
});

Deno.test("UTF-8: may be split anywhere", async () => {
  await using both = await start({ receivingBufferBytes: 3 });
  const { peer } = both;
  const bytes = new TextEncoder().encode(run("echo", "пример 👨‍👩‍👧 é") + "\n");
  for (const byte of bytes) {
    await peer.send(Uint8Array.of(byte));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await peer.reply();
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1, wait: true }), {
    status: "success",
    data: "пример 👨‍👩‍👧 é",
  });
});

Deno.test("half-close: the client still gets its replies, those that wait too", async () => {
  await using both = await start();
  const { peer } = both;
  await peer.send(run("revers", "ab") + request("get_result", { task_id: 1, wait: true }));
  await peer.conn.closeWrite();
  assert.equal(await peer.rest(), '{"task_id":1}\n{"status":"success","data":"ba"}\n');
});

Deno.test("run: an unknown task has an id and is in error, with the names there are", async () => {
  await using both = await start();
  const { peer } = both;
  assert.deepEqual(await peer.ask({ type: "run", task_name: "reverse", data: "x" }), { task_id: 1 });
  assert.deepEqual(await peer.ask({ type: "status", task_id: 1 }), { status: "error" });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1 }), {
    status: "error",
    data: null,
    error: 'no task is named "reverse"; there are echo, revers, permutation, too_long_echo',
  });
  await peer.ask({ type: "run", task_name: "x".repeat(100_000), data: "" });
  const { error } = await peer.ask({ type: "get_result", task_id: 2 }) as { error: string };
  assert(error.startsWith(`no task is named "${"x".repeat(64)}…";`));
});

Deno.test("run: a full queue says so, gives no id and keeps the connection", async () => {
  await using both = await start({
    delayFactor: 1000,
    queue: { maxWaiting: 1, maxWaitingBytes: 1000, maxKept: 10, maxKeptBytes: 1000 },
  });
  const { peer } = both;
  const echo = { type: "run", task_name: "too_long_echo", data: "" };
  assert.deepEqual(await peer.ask(echo), { task_id: 1 }); // executes
  assert.deepEqual(await peer.ask(echo), { task_id: 2 }); // waits
  assert.deepEqual(await peer.ask(echo), { error: "queue is full" });
  await peer.ask({ type: "cancel", task_id: 1 });
  assert.deepEqual(await peer.ask(echo), { task_id: 3 });
});

Deno.test("cancel: a waiting task, the executing one, one that has ended", async () => {
  await using both = await start({ delayFactor: 1000 });
  const { peer } = both;
  for (let i = 0; i < 3; i++) await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
  const cancelled = { cancelled: true, status: "error" };
  assert.deepEqual(await peer.ask({ type: "cancel", task_id: 2 }), cancelled);
  assert.deepEqual(await peer.ask({ type: "cancel", task_id: 1 }), cancelled);
  assert.deepEqual(await peer.ask({ type: "cancel", task_id: 1 }), { cancelled: false, status: "error" });
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1 }), {
    status: "error",
    data: null,
    error: "cancelled",
  });
  assert.deepEqual(await peer.ask({ type: "status", task_id: 3, wait: false }), { status: "execute" });
});

Deno.test("list and stats: what the server knows", async () => {
  await using both = await start({ delayFactor: 1000 });
  const { peer } = both;
  await peer.ask({ type: "run", task_name: "echo", data: "" });
  await peer.ask({ type: "status", task_id: 1 });
  await peer.ask({ type: "run", task_name: "sing", data: "" });
  for (let i = 0; i < 2; i++) await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
  assert.deepEqual(await peer.ask({ type: "list" }), {
    tasks: [
      { task_id: 1, task_name: "echo", status: "success" },
      { task_id: 2, task_name: "sing", status: "error" },
      { task_id: 3, task_name: "too_long_echo", status: "execute" },
      { task_id: 4, task_name: "too_long_echo", status: "waiting", position: 1 },
    ],
    total: 4,
  });
  const { uptime_s, ...counts } = await peer.ask({ type: "stats" }) as { uptime_s: number };
  assert(uptime_s > 0);
  assert.deepEqual(counts, { waiting: 1, executing: 1, kept: 2, succeeded: 1, failed: 1, connections: 1 });
});

Deno.test("a slow task delays no reply", async () => {
  await using both = await start({ delayFactor: 0 });
  const { peer } = both;
  const text = "ж".repeat(500_000); // a tenth of a second of work, or more
  await peer.ask({ type: "run", task_name: "revers", data: text });
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(await peer.ask({ type: "status", task_id: 1, wait: false }), { status: "execute" });
  }
  const result = await peer.ask({ type: "get_result", task_id: 1, wait: true });
  assert.deepEqual(result, { status: "success", data: text });
});

Deno.test("a client that goes while it waits: its task runs on, nobody else notices", async () => {
  await using both = await start();
  const { server, peer } = both;
  {
    using leaver = await Peer.connect(server.port);
    await leaver.ask({ type: "run", task_name: "revers", data: "ab" });
    await leaver.send(request("status", { task_id: 1 }));
  }
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 1, wait: true }), {
    status: "success",
    data: "ba",
  });
  await until(() => server.connections === 1, "the connection is closed");
});

Deno.test("forgotten results: the oldest id is unknown, the connection that asks is closed", async () => {
  await using both = await start({
    queue: { maxWaiting: 10, maxWaitingBytes: 1000, maxKept: 1, maxKeptBytes: 1000 },
  });
  const { peer } = both;
  for (const task_id of [1, 2]) {
    await peer.ask({ type: "run", task_name: "echo", data: "" });
    await peer.ask({ type: "status", task_id });
  }
  assert.deepEqual(await peer.ask({ type: "get_result", task_id: 2 }), { status: "success", data: "" });
  await peer.send(request("get_result", { task_id: 1 }));
  assert.equal(await peer.rest(), "");
});

Deno.test("close: replies in flight are sent, waiting ones are not, new clients are refused", async () => {
  await using server = startTasks({ delayFactor: 1000 });
  using waiter = await Peer.connect(server.port);
  await waiter.ask({ type: "run", task_name: "too_long_echo", data: "" });
  await waiter.send(request("status", { task_id: 1 }));
  using idle = await Peer.connect(server.port);
  await idle.ask({ type: "stats" });
  await server.close(1_000);
  assert.equal(await waiter.rest(), "");
  assert.equal(await idle.rest(), "");
  assert.equal(server.connections, 0);
  await assert.rejects(Peer.connect(server.port), Deno.errors.ConnectionRefused);
});

Deno.test("localhost: both of its addresses are served", async () => {
  await using server = startTasks({ hostname: "localhost" });
  for (const address of server.addresses) {
    const hostname = address.slice(0, address.lastIndexOf(":")).replace(/[[\]]/g, "");
    using peer = await Peer.connect(server.port, hostname);
    assert.deepEqual(await peer.ask({ type: "run", task_name: "sing", data: "" }), {
      task_id: server.addresses.indexOf(address) + 1,
    });
  }
  assert.equal(server.addresses[0], `127.0.0.1:${server.port}`);
});
