/** How many operations of operators a process has under way at a time. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { Operations } from "../../lib/sessions/http/operations.ts";
import { MemoryRegistry } from "../../lib/sessions/registry/memory_registry.ts";
import type { SessionEntry } from "../../lib/sessions/session_entry.ts";
import { PATIENCE_MS } from "../support/wait.ts";

const LIMIT = 256;

/** A registry in which nobody is found before the test says so. */
class SlowRegistry extends MemoryRegistry {
  readonly answer = Promise.withResolvers<undefined>();

  override find(): Promise<SessionEntry | undefined> {
    return this.answer.promise;
  }
}

Deno.test("Operations: beyond so many under way one is refused, and whichever has ended makes room", async () => {
  await using registry = new SlowRegistry();
  const statuses: number[] = [];
  const operations = new Operations({ registry, onOperation: (_, status) => statuses.push(status) });
  const ask = async (path = "/sessions/kim", method = "GET") =>
    (await operations.answer(new Request(`http://localhost${path}`, { method }), path.split("?")[0]!))!;
  // those that are refused for what they say leave no place behind either
  for (let i = 0; i < LIMIT; i++) assert.equal((await ask("/sessions/kim?block=x", "DELETE")).status, 400);
  const underWay = Array.from({ length: LIMIT }, () => ask());
  const refused = await withDeadline(ask(), PATIENCE_MS, "one more than the limit is not refused");
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assert.match(await refused.text(), /^nothing was done: 256 operations are under way already/);
  registry.answer.resolve(undefined);
  for (const { status } of await Promise.all(underWay)) assert.equal(status, 404);
  for (let i = 0; i < LIMIT; i++) assert.equal((await ask()).status, 404);
  assert.equal(statuses.filter((status) => status === 503).length, 1, "every answer is counted");
});
