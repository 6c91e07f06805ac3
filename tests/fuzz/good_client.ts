/** A client that does everything right and checks every reply. */

import assert from "node:assert/strict";
import { CATALOG } from "../../lib/tasks/catalog.ts";
import { TasksClient } from "../../lib/tasks/client.ts";
import { withDeadline } from "../../lib/service/clock.ts";
import type { Random } from "../chaos/random.ts";
import { PATIENCE_MS } from "../support/wait.ts";

const WORDS = ["", "a", "пример", "👨‍👩‍👧é", "x".repeat(2000), 'quote " backslash \\ newline \n', "\u0000"];

/** Works until `signal` is aborted; `onReply` is told of every reply that was right, and the first wrong one is thrown. */
export async function beGood(
  port: number,
  random: Random,
  signal: AbortSignal,
  onReply: () => void,
): Promise<void> {
  await using client = await TasksClient.connect({ hostname: "127.0.0.1", port });
  const ask: TasksClient["request"] = async (request) => {
    const what = `no reply to ${JSON.stringify(request).slice(0, 100)}`;
    const reply = await withDeadline(client.request(request), PATIENCE_MS, what);
    onReply();
    return reply;
  };
  let lastId = 0;
  while (!signal.aborted) {
    const task_name = random.of([...CATALOG.keys()]);
    const data = random.of(WORDS) + random.integer(0, 1e9);
    const added = await ask({ type: "run", task_name, data });
    assert.ok("task_id" in added, `the task was refused: ${JSON.stringify(added)}`);
    assert.ok(added.task_id > lastId, "ids count up");
    const task_id = lastId = added.task_id;
    // together, to see that the replies come in order
    const [stats, list, done, result, again] = await Promise.all([
      ask({ type: "stats" }),
      ask({ type: "list" }),
      ask({ type: "status", task_id }),
      ask({ type: "get_result", task_id }),
      ask({ type: "get_result", task_id, wait: true }),
    ]);
    assert.ok(stats.connections >= 1 && list.tasks.length <= list.total);
    assert.deepEqual(done, { status: "success" });
    assert.deepEqual(result.status === "success" ? result : again, again);
    assert.deepEqual(again, { status: "success", data: CATALOG.get(task_name)!.run(data) });
    const cancelled = await ask({ type: "cancel", task_id });
    assert.deepEqual(cancelled, { cancelled: false, status: "success" });
  }
}
