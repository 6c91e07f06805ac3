/** The slot of a service moves to another shard: what `redis-cli --cluster reshard` does, one step at a time. */

import type { Redis } from "./redis.ts";
import type { RedisCluster } from "./redis_topologies.ts";
import { until } from "./wait.ts";

const MIGRATE_TIMEOUT_MS = 5000;

export class SlotMigration {
  readonly #cluster: RedisCluster;
  readonly #slot: string;
  readonly #source: { redis: Redis; id: string };
  readonly #target: { redis: Redis; id: string };

  private constructor(
    cluster: RedisCluster,
    slot: string,
    source: { redis: Redis; id: string },
    target: { redis: Redis; id: string },
  ) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.#source = source;
    this.#target = target;
  }

  /** From now on each key is at its owner, or at the shard that will have the slot: another one, where none is given. */
  static async begin(cluster: RedisCluster, target?: Redis): Promise<SlotMigration> {
    const slot = String(await cluster.slot());
    const ends = [await cluster.owner(), await cluster.other(target)] as const;
    const migration = new SlotMigration(cluster, slot, ...ends);
    const [from, to] = ends;
    await ok(to.redis, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
    await ok(from.redis, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
    return migration;
  }

  get target(): Redis {
    return this.#target.redis;
  }

  /** The keys that have yet to move. */
  async keys(): Promise<string[]> {
    const text = await this.#source.redis.command("CLUSTER", "GETKEYSINSLOT", this.#slot, "1000");
    return text.split("\n").filter(Boolean);
  }

  /** Moves some keys; those that a migration before has left there are replaced. */
  async move(keys: string[]): Promise<void> {
    if (keys.length === 0) return;
    const where = ["127.0.0.1", String(this.#target.redis.port), "", "0", String(MIGRATE_TIMEOUT_MS)];
    const answer = await this.#source.redis.command("MIGRATE", ...where, "REPLACE", "KEYS", ...keys);
    if (answer !== "OK" && answer !== "NOKEY") throw new Error(`MIGRATE: ${answer}`);
  }

  /** Moves what is left, gives the slot to the target, and waits until all say so. */
  async finish(): Promise<void> {
    for (let keys; (keys = await this.keys()).length > 0;) await this.move(keys);
    for (const { redis } of [this.#target, this.#source]) {
      await ok(redis, "CLUSTER", "SETSLOT", this.#slot, "NODE", this.#target.id);
    }
    await until(
      async () => (await this.#cluster.owner()).redis === this.#target.redis,
      "the target has the slot",
    );
  }
}

async function ok(redis: Redis, ...command: string[]): Promise<void> {
  const answer = await redis.command(...command);
  if (answer !== "OK") throw new Error(`${command.join(" ")}: ${answer}`);
}
