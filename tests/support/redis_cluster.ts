/** A Redis Cluster. */

import { hostOf, isNamed, type Tls } from "./certificates.ts";
import { freePort } from "./ports.ts";
import { Redis } from "./redis.ts";
import type { Replicated } from "./replicated.ts";
import { until } from "./wait.ts";

export interface RedisClusterOptions {
  nodeTimeoutMs?: number;
  /** More settings for each Redis. */
  args?: string[];
  /** All speak nothing but TLS, and are named as this certificate names them. */
  tls?: Tls;
}

/** Whom a cluster's node knows: see CLUSTER NODES. */
interface KnownNode {
  redis: Redis;
  id: string;
  primary: boolean;
  /** The id of the primary that a replica follows. */
  follows: string;
  alive: boolean;
  /** They have talked to each other. */
  met: boolean;
  /** Ranges and single ones. */
  slots: string[];
}

/**
 * So long after an election a Redis that was elected, and has become a replica again, holds none; and in the first half of
 * it Redis 7.0 counts the votes of the last one again: it takes the slots with an old epoch, and nobody believes it for ever.
 */
const ELECTION_MS = 4_000;

/** A third of all slots, for each primary. */
const SLOTS = [[0, 5460], [5461, 10_922], [10_923, 16_383]] as const;

/** A replica that is told to take over gives up after this: the others vote only so often. */
const FORCING_MS = 5_000;

/** Three shards of a primary and a replica each. */
export class RedisCluster implements Replicated {
  readonly #folder: string;
  readonly redises: Redis[];
  #slot: Promise<number> | undefined;
  #electedAtMs = -Infinity;

  private constructor(folder: string, redises: Redis[]) {
    this.#folder = folder;
    this.redises = redises;
  }

  static async start(
    { nodeTimeoutMs = 1000, args = [], tls }: RedisClusterOptions = {},
  ): Promise<RedisCluster> {
    const folder = await Deno.makeTempDir({ prefix: "solo-cluster-" });
    const buses = Array.from({ length: 6 }, freePort);
    const redises = await Redis.startAll(buses.map((bus) => {
      const port = freePort();
      return {
        port,
        fresh: true,
        tls,
        args: [
          ...(tls ? ["--tls-cluster", "yes"] : []),
          ...(isNamed(tls) ? ["--cluster-announce-hostname", tls.host] : []),
          ...(isNamed(tls) ? ["--cluster-preferred-endpoint-type", "hostname"] : []),
          ...["--cluster-enabled", "yes", "--cluster-port", String(bus)],
          ...["--dir", folder, "--dbfilename", `${port}.rdb`],
          ...["--cluster-config-file", `${port}.conf`, "--cluster-node-timeout", String(nodeTimeoutMs)],
          ...["--repl-diskless-sync-delay", "0"],
          ...args,
        ],
      };
    }));
    const cluster = new RedisCluster(folder, redises);
    try {
      await cluster.#make(buses);
      await cluster.complete();
      await (await cluster.owner()).redis.beKnown();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Names three of the six, one of which may be dead while another has old news: from them the others have to be found. */
  get url(): string {
    const { tls } = this.redises[0]!;
    const hosts = this.redises.slice(0, 3).map(({ port }) => `${hostOf(tls)}:${port}`);
    return `${tls ? "rediss" : "redis"}+cluster://${hosts.join(",")}`;
  }

  /** The slot of the service: asked once, since whoever is asked may be dead or stand still another time. */
  async slot(): Promise<number> {
    this.#slot ??= this.redises[0]!.command("CLUSTER", "KEYSLOT", "{solo}").then(Number);
    return await this.#slot;
  }

  /** Who has the slot of the service now, as all of these say who are alive. */
  async owner(asked: Redis[] = this.redises): Promise<KnownNode> {
    const slot = await this.slot();
    let owner: KnownNode | undefined;
    await until(async () => {
      const views = await this.#views(asked);
      const owners = views.filter((nodes) => nodes.length > 0)
        .map((nodes) =>
          nodes.find((node) => node.primary && node.alive && node.slots.some((range) => holds(range, slot)))
        );
      owner = owners[0];
      return owners.length > 0 && owners.every((each) => each !== undefined && each.redis === owner!.redis);
    }, "all agree on who has the slot");
    return owner!;
  }

  async current(): Promise<Redis> {
    return (await this.owner()).redis;
  }

  /** The replica of the one who has the slot of the service. */
  async replica(): Promise<Redis> {
    const { redis, id } = await this.owner();
    return (await this.#nodes(redis)).find(({ follows }) => follows === id)!.redis;
  }

  /** A primary that does not have the slot of the service. */
  async other(): Promise<KnownNode> {
    const { redis, id } = await this.owner();
    return (await this.#nodes(redis)).find((node) => node.primary && node.alive && node.id !== id)!;
  }

  /** Waits until another than this has the slot, as all others say; but for one that the slot is on its way to, which is deaf. */
  async failover(from: Redis, deaf?: Redis): Promise<Redis> {
    const others = this.redises.filter((redis) => redis !== from && redis !== deaf);
    let now = from;
    await until(async () => (now = (await this.owner(others)).redis) !== from, "another has the slot");
    this.#electedAtMs = performance.now();
    return now;
  }

  /** Has the replica take the slot from a primary that is well, and waits until that one says so too. */
  async force(): Promise<void> {
    const [{ redis }, replica] = [await this.owner(), await this.replica()];
    let askedAtMs = -Infinity;
    await until(async () => {
      if (performance.now() > askedAtMs + FORCING_MS) {
        await replica.command("CLUSTER", "FAILOVER", "FORCE");
        askedAtMs = performance.now();
      }
      return (await this.owner()).redis !== redis;
    }, "the replica has the slot");
    this.#electedAtMs = performance.now();
  }

  /** Waits until the last election does not matter to another, see `ELECTION_MS`. */
  async pastElection(): Promise<void> {
    const leftMs = this.#electedAtMs + ELECTION_MS - performance.now();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
  }

  /** Waits until all take commands, and the owner has its replica, so that it could be replaced. */
  async complete(): Promise<void> {
    await until(async () => {
      const states = await Promise.all(this.redises.map((redis) => redis.command("CLUSTER", "INFO")));
      return states.every((state) => state.includes("cluster_state:ok"));
    }, "all take commands");
    await until(
      async () => /state=online/.test(await (await this.current()).command("INFO", "replication")),
      "the owner has its replica",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const redis of this.redises) await redis[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  /**
   * Makes one of them. `redis-cli --cluster create` would do it with each command once: where a Redis is too busy to hear of
   * another in time, it waits for ever.
   */
  async #make(buses: number[]): Promise<void> {
    const [first, ...others] = this.redises;
    for (const [i, redis] of this.redises.entries()) {
      await redis.command("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
      if (i < SLOTS.length) await redis.command("CLUSTER", "ADDSLOTSRANGE", ...SLOTS[i]!.map(String));
    }
    await until(async () => {
      for (const [i, { port }] of others.entries()) {
        await first!.command("CLUSTER", "MEET", "127.0.0.1", String(port), String(buses[i + 1]));
      }
      const views = await this.#views();
      return views.every((nodes) => nodes.filter(({ met }) => met).length === this.redises.length);
    }, "all know of each other");
    for (const [i, { port }] of this.redises.slice(0, SLOTS.length).entries()) {
      const replica = this.redises[i + SLOTS.length]!;
      const { id } = (await this.#nodes(replica)).find(({ redis, met }) => met && redis.port === port)!;
      await until(
        async () => await replica.command("CLUSTER", "REPLICATE", id) === "OK",
        "a replica follows its primary",
      );
    }
    await until(async () => {
      const views = await this.#views();
      return views.every((nodes) => nodes.filter(({ follows }) => follows !== "-").length === SLOTS.length);
    }, "all know of the replicas");
  }

  async #views(asked: Redis[] = this.redises): Promise<KnownNode[][]> {
    return await Promise.all(asked.map((redis) => this.#nodes(redis)));
  }

  /** Whom this one knows; none where it does not answer. */
  async #nodes(redis: Redis): Promise<KnownNode[]> {
    const text = await redis.command("CLUSTER", "NODES");
    return text.split("\n").filter((line) => line.includes("@")).flatMap((line) => {
      const [id, address, flags, follows, , , , , ...slots] = line.split(" ") as [
        string,
        string,
        string,
        string,
      ];
      const known = this.redises.find(({ port }) => address.includes(`:${port}@`));
      const primary = flags.includes("master");
      if (!known) return [];
      const [alive, met] = [!flags.includes("fail"), !flags.includes("handshake")];
      return [{ redis: known, id, primary, follows, alive, met, slots }];
    });
  }
}

function holds(range: string, slot: number): boolean {
  const [from, to = from] = range.split("-").map(Number);
  return from! <= slot && slot <= to!;
}
