/** More ways for a Redis to fail over, which take their time. */

import assert from "node:assert/strict";
import { TestCandidate } from "../support/candidate.ts";
import { isServed, Service } from "../support/failover.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import { Sentinels } from "../support/sentinels.ts";
import { SlotMigration } from "../support/slot_migration.ts";
import { until } from "../support/wait.ts";

Deno.test("RedisRegistry, Sentinel: when the primary dies nobody is closed, and it comes back as a replica", async () => {
  await using sentinels = await Sentinels.start();
  await using service = await Service.start(sentinels.url);
  const { primary } = sentinels;
  await primary.kill();
  const next = await sentinels.failover(primary);
  await isServed(next);
  await service.goesOn();
  await primary.restart();
  await until(
    async () => /role:slave/.test(await primary.command("INFO", "replication")),
    "it follows the new one",
  );
});

Deno.test("RedisRegistry, Sentinel: a primary that only its replicas and the Sentinels have lost is left, too", async () => {
  await using sentinels = await Sentinels.start();
  await using service = await Service.start(sentinels.url);
  const { primary } = sentinels;
  await sentinels.cutOff(primary);
  const next = await sentinels.failover(primary);
  await isServed(next);
  assert.match(await primary.command("INFO", "replication"), /role:master/, "it has not noticed itself");
  await service.goesOn();
});

Deno.test("RedisRegistry, Cluster: the death of the shard's primary closes nobody", async () => {
  await using cluster = await RedisCluster.start();
  await using service = await Service.start(cluster.url);
  const { redis } = await cluster.owner();
  await redis.kill();
  await isServed(await cluster.failover(redis));
  await service.goesOn();
});

Deno.test("RedisRegistry, Cluster: a slot that moves to another shard closes nobody, whoever comes meanwhile", async () => {
  await using cluster = await RedisCluster.start();
  await using service = await Service.start(cluster.url);
  const migration = await SlotMigration.begin(cluster);
  const keys = await migration.keys();
  assert.ok(keys.length > 2);
  await migration.move(keys.slice(0, 2)); // half of the keys are here and half there
  const newcomers = ["max", "mia", "kim2"].map((name) => new TestCandidate(name));
  for (const newcomer of newcomers) service.here.registry.claim(newcomer);
  await migration.finish();
  await isServed(migration.target);
  for (const newcomer of newcomers) {
    await until(() => newcomer.state !== "waiting", "a newcomer is answered");
    if (newcomer.state === "established") service.here.registry.release(newcomer);
    else assert.equal(newcomer.reason?.kind, "lease-lost", "turned away, and free to come again");
  }
  await service.goesOn();
});
