/** How another Redis comes to be the primary of the service. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Keys } from "../../lib/sessions/registry/redis/keys.ts";
import type { Redis } from "../support/redis.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import type { Replicated } from "../support/replicated.ts";
import { Sentinels } from "../support/sentinels.ts";
import { SlotMigration } from "../support/slot_migration.ts";
import type { FaultEvent, FaultKind } from "./history.ts";
import { now } from "./subject.ts";

export type FailoverKind = Extract<FaultKind, `redis-failover-${string}` | `redis-migrate${string}`>;

/** What has been when another is the primary, and all say so. */
export interface Failover {
  silent?: FaultEvent["silent"];
  /** Brings the old primary back, to be a replica. */
  back?: () => Promise<void> | void;
}

/**
 * Makes another the primary.
 *
 * @param primary Who is it now.
 * @param durationMs How long the slot is on its way, for those faults in which it is.
 */
export async function failOver(
  fault: FailoverKind,
  redis: Replicated,
  primary: Redis,
  durationMs: number,
): Promise<Failover> {
  switch (fault) {
    case "redis-failover-death":
      await primary.kill();
      await redis.failover(primary);
      return { back: () => primary.restart() };
    case "redis-failover-stop":
      primary.freeze();
      await redis.failover(primary);
      return { back: () => primary.thaw() };
    case "redis-failover-cut":
      assert.ok(redis instanceof Sentinels);
      await redis.cutOff(primary);
      await redis.failover(primary);
      return { back: () => redis.join(primary) };
    case "redis-failover-force":
      assert.ok(redis instanceof RedisCluster);
      await redis.force();
      return {};
    case "redis-migrate":
      assert.ok(redis instanceof RedisCluster);
      return await migrate(redis, durationMs);
    case "redis-migrate-death":
      assert.ok(redis instanceof RedisCluster);
      return await migrateInVain(redis, primary, durationMs);
  }
}

/** Half of the time some clients are answered and some not, then nobody is, since no lease can be renewed. */
async function migrate(cluster: RedisCluster, durationMs: number): Promise<Failover> {
  const migration = await SlotMigration.begin(cluster);
  await migration.move(await someOfTheClients(migration));
  await delay(durationMs / 2);
  const at = now();
  await migration.move((await migration.keys()).filter((key) => !BUCKETS.has(key)));
  await delay(durationMs / 2);
  await migration.finish();
  return { silent: { at, until: now() } };
}

/** Its replica goes on with what has not moved, as one that has lost some of its data; that is moved after a while. */
async function migrateInVain(cluster: RedisCluster, primary: Redis, durationMs: number): Promise<Failover> {
  const migration = await SlotMigration.begin(cluster);
  await migration.move(await someOfTheClients(migration));
  await delay(durationMs / 2);
  const at = now();
  await primary.kill();
  await cluster.failover(primary, migration.target);
  const silent = { at, until: now() };
  await delay(durationMs / 2);
  await migration.resume();
  await migration.finish();
  return { silent, back: () => primary.restart() };
}

const BUCKETS: ReadonlySet<string> = new Set(new Keys("solo").buckets);

/** Half of the keys with lines of clients. */
async function someOfTheClients(migration: SlotMigration): Promise<string[]> {
  const buckets = (await migration.keys()).filter((key) => BUCKETS.has(key));
  return buckets.slice(0, Math.ceil(buckets.length / 2));
}
