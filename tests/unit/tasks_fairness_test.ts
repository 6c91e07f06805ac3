/** Connections that always have something to read and can always write, beside one that asks once. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Connection } from "../../lib/tasks/connection.ts";
import { TaskQueue } from "../../lib/tasks/queue.ts";
import { contextOf, FakeConn } from "../support/fake_conn.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** Reads after which one that never ends does end, so that a server which lets nobody else have a turn fails a test. */
const ENDLESS = 100;

function serveAll(conns: FakeConn[]): Promise<unknown>[] {
  const limits = { maxWaiting: 10, maxWaitingBytes: 2 ** 26, maxKept: 10_000, maxKeptBytes: 2 ** 26 };
  const queue = new TaskQueue(limits, new FakeClock());
  queue.finish((queue.add("echo", "", 0), queue.startNext()!), { result: "x".repeat(500_000) }); // task 1
  for (let i = 0; i < 2000; i++) queue.addFailed("sing", "no such task", 0);
  const context = contextOf(queue);
  return conns.map((conn, i) => new Connection(conn as unknown as Deno.Conn, i, context).serve());
}

const FLOODS: Record<string, string> = {
  "stats": '{"type":"stats"}\n'.repeat(60),
  "list": '{"type":"list"}\n'.repeat(60),
  "results of half a MiB": '{"type":"get_result","task_id":1}\n'.repeat(30),
  "nothing": "\n".repeat(1000),
  "an endless request": " ".repeat(1000),
};
for (const [what, requests] of Object.entries(FLOODS)) {
  Deno.test(`Connection: ten that ask for ${what} without end have their turns, and so has one that asks once`, async () => {
    const floods = Array.from({ length: 10 }, () => new FakeConn(requests, ENDLESS));
    const good = new FakeConn('{"type":"stats"}\n', 1, setImmediate());
    const [answered, ...others] = serveAll([good, ...floods]);
    await answered;
    const reads = floods.map(({ reads }) => reads);
    for (const flood of floods) flood.reads = ENDLESS; // enough
    assert.ok(reads.every((count) => count >= 1 && count < 10), `read meanwhile: ${reads}`);
    await Promise.all(others);
  });
}

Deno.test("Connection: of many that ask without end each is read, and none for ever", async () => {
  const floods = Array.from({ length: 7 }, (_, i) => new FakeConn(Object.values(FLOODS)[i % 2]!, ENDLESS));
  const served = serveAll(floods);
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  const reads = floods.map(({ reads }) => reads);
  for (const flood of floods) flood.reads = ENDLESS;
  await Promise.all(served);
  // a turn lets in fewer than all where lists have made it long
  assert.ok(reads.every((count) => count >= 1 && count < ENDLESS), `each is read, none for ever: ${reads}`);
});
