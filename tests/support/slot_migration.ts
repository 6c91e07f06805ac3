/** The slot of a service moves to another shard: what `redis-cli --cluster reshard` does, one step at a time. */

import type { Redis } from "./redis.ts";
import type { RedisCluster } from "./redis_cluster.ts";
import { until } from "./wait.ts";

const MIGRATE_TIMEOUT_MS = 5000;

/** A node of the cluster and its id. */
interface End {
  redis: Redis;
  id: string;
}

export class SlotMigration {
  readonly #cluster: RedisCluster;
  readonly #slot: string;
  #source: End;
  readonly #target: End;

  private constructor(cluster: RedisCluster, slot: string, source: End, target: End) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.#source = source;
    this.#target = target;
  }

  /** From now on each key is at the owner of the slot, or at another shard that is to have it. */
  static async begin(cluster: RedisCluster): Promise<SlotMigration> {
    const slot = String(await cluster.slot());
    const migration = new SlotMigration(cluster, slot, await cluster.owner(), await cluster.other());
    await migration.#open();
    return migration;
  }

  get target(): Redis {
    return this.#target.redis;
  }

  async #open(): Promise<void> {
    await ok(this.target, "CLUSTER", "SETSLOT", this.#slot, "IMPORTING", this.#source.id);
    await ok(this.#source.redis, "CLUSTER", "SETSLOT", this.#slot, "MIGRATING", this.#target.id);
  }

  /** The source has died, and its replica has taken its place: goes on from there. */
  async resume(): Promise<void> {
    const dead = this.#source.redis;
    const alive = this.#cluster.redises.filter((redis) => redis !== dead && redis !== this.target);
    this.#source = await this.#cluster.owner(alive);
    // whom a slot is on its way to does not hear that it has another owner, and is out of work while it takes that one for dead
    await ok(this.target, "CLUSTER", "SETSLOT", this.#slot, "NODE", this.#source.id);
    await until(
      async () => (await this.target.command("CLUSTER", "INFO")).includes("cluster_state:ok"),
      "the target takes commands again",
    );
    await this.#open();
  }

  /** The keys that have yet to move. */
  async keys(): Promise<string[]> {
    const text = await this.#source.redis.command("CLUSTER", "GETKEYSINSLOT", this.#slot, "1000");
    return text.split("\n").filter(Boolean);
  }

  /** Moves some keys; those that a migration before has left there are replaced. */
  async move(keys: string[]): Promise<void> {
    if (keys.length === 0) return;
    const where = ["127.0.0.1", String(this.target.port), "", "0", String(MIGRATE_TIMEOUT_MS)];
    let answer = "";
    await until(async () => {
      answer = await this.#source.redis.command("MIGRATE", ...where, "REPLACE", "KEYS", ...keys);
      return !answer.includes("CLUSTERDOWN"); // on a busy machine nodes take each other for dead now and then
    }, () => `keys can be moved: ${answer}`);
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
