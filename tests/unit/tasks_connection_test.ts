import assert from "node:assert/strict";
import { Connection } from "../../lib/tasks/connection.ts";
import { type EndListener, type Task, TaskQueue } from "../../lib/tasks/queue.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { contextOf, FakeConn } from "../support/fake_conn.ts";
import { until } from "../support/wait.ts";

/** Knows how many wait for the end of a task. */
class WatchedQueue extends TaskQueue {
  listening = 0;

  override onEnd(task: Task, listener: EndListener): () => void {
    this.listening++;
    const stop = super.onEnd(task, listener);
    return () => {
      this.listening--;
      stop();
    };
  }
}

Deno.test("Connection: one that is cut leaves nobody behind who waits for its tasks", async () => {
  const limits = { maxWaiting: 10, maxWaitingBytes: 1000, maxKept: 10, maxKeptBytes: 1000 };
  const queue = new WatchedQueue(limits, new FakeClock());
  queue.add("echo", "", 0);
  const context = contextOf(queue);
  const conn = new FakeConn('{"type":"status","task_id":1,"wait":true}'.repeat(3), 1);
  const connection = new Connection(conn as unknown as Deno.Conn, 1, context);
  const served = connection.serve();
  await until(() => queue.listening === 3, () => `three wait, and ${queue.listening} do`);
  assert.ok(context.memory.bytes > 0, "which is held");
  connection.cut();
  await served;
  assert.deepEqual([queue.listening, context.memory.bytes], [0, 0]);
});
