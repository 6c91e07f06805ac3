/** The upgrade of docs/operations.md from a version whose keys have no hash tag. */

import assert from "node:assert/strict";
import { inRedis } from "../../lib/sessions/coordination.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { listed, TestCandidate } from "../support/candidate.ts";
import { Redis } from "../support/redis.ts";

const PAGE = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));
const LEASE_MS = 1000;

/** What a process of that version keeps in Redis: the same, under other names. It has a lease, and a session of kim. */
async function oldProcess(redis: Redis): Promise<void> {
  const key = (name: string) => `solo:${name}`;
  const keys = ["generation", "nodes", "members", "events"].map(key);
  await redis.command("EVAL", SCRIPTS.renew, "4", ...keys, ...[
    "old",
    "3600000",
    "1",
    "join",
    "",
    "0",
    "0",
    "",
  ]);
  await redis.command("HSET", key("sessions:7"), "kim", "986de040-0000-4000-8000-000000000000 old 7 1000 e");
  assert.equal(await redis.command("ZCARD", key("nodes")), "1");
}

Deno.test("docs/operations.md: a service does not see what one without a hash tag has left, and its keys can be removed", async () => {
  await using redis = await Redis.start({ fresh: true });
  await oldProcess(redis);
  await using service = await inRedis({ url: redis.url, leaseMs: LEASE_MS });
  const kim = new TestCandidate("kim");
  service.registry.claim(kim);
  await kim.reaches("established");
  const entries = await listed(service.registry);
  assert.deepEqual(
    entries.map(({ sessionId }) => sessionId),
    [kim.sessionId],
    "the old one's session is not listed",
  );

  const [, command] = PAGE.match(/^(redis-cli --scan .*? DEL) /m)!;
  const here = command!.replaceAll("redis-cli", `redis-cli -p ${redis.port}`);
  const { success } = await new Deno.Command("sh", { args: ["-c", here], stdout: "null" }).output();
  assert.ok(success, here);
  assert.equal(await redis.command("KEYS", "solo:*"), "", "nothing of the old ones is left");
  assert.deepEqual(await listed(service.registry), entries);
  assert.deepEqual(kim.events, ["established"]);
});
