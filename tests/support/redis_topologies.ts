/** Redises as they are run where one may fail: a primary with replicas that Sentinels watch, and a Redis Cluster. */

import { listening, reaching, type Tls } from "./certificates.ts";
import { freePort, Redis } from "./redis.ts";
import { Subprocess } from "./subprocess.ts";
import { until } from "./wait.ts";

/** Redises of which another takes the place of the primary when it fails. */
export interface Replicated extends AsyncDisposable {
  /** As a service is given it. */
  readonly url: string;
  /** Who takes the writes of the service now. */
  current(): Promise<Redis>;
  /** Waits until another than this does. It is not asked itself: it may stand still, or be dead. */
  failover(from: Redis): Promise<Redis>;
  /** Waits until all are back that there are, so that the primary could be replaced once more. */
  complete(): Promise<void>;
}

/** What the Sentinels call the primary. */
const NAME = "mymaster";

/**
 * As whom replicas and Sentinels come to a primary, and the test and the Sentinels to a Sentinel: he can be turned away, and
 * so a primary is cut off from them, and from nobody else; and all others can be.
 */
const WATCHER = { user: "watcher", password: "watches" };

export interface SentinelsOptions {
  /** How long a primary must be silent to be replaced, ms. @default 1000 */
  downAfterMs?: number;
  /** More settings for each Redis. */
  args?: string[];
  /** All speak nothing but TLS, and are named as this certificate names them. */
  tls?: Tls;
}

/** A primary, two replicas, and three Sentinels that agree on who is the primary. */
export class Sentinels implements Replicated {
  readonly #folder: string;
  readonly redises: Redis[];
  readonly sentinels: (Subprocess & { port: number })[] = [];

  private constructor(folder: string, redises: Redis[]) {
    this.#folder = folder;
    this.redises = redises;
  }

  static async start({ downAfterMs = 1000, args = [], tls }: SentinelsOptions = {}): Promise<Sentinels> {
    const { user, password } = WATCHER;
    const settings = [
      ...["--user", user, "on", `>${password}`, "~*", "&*", "+@all"],
      ...["--masteruser", user, "--masterauth", password, "--repl-diskless-sync-delay", "0"],
      ...(named(tls) ? ["--replica-announce-ip", tls.host] : []),
      ...args,
    ];
    const ports = [freePort(), freePort(), freePort()];
    const folder = await Deno.makeTempDir({ prefix: "solo-sentinels-" });
    const own = (port: number) => ["--dir", folder, "--dbfilename", `${port}.rdb`]; // a replica writes what it is sent
    const redises = await Promise.all(ports.map((port, i) =>
      Redis.start({
        port,
        fresh: true,
        tls,
        args: [...settings, ...own(port), ...(i > 0 ? ["--replicaof", hostOf(tls), String(ports[0])] : [])],
      })
    ));
    const all = new Sentinels(folder, redises);
    try {
      await until(
        async () => /connected_slaves:2/.test(await all.primary.command("INFO", "replication")),
        "both replicas have come",
      );
      await all.primary.beKnown(); // only now: with its first replica the history of a Redis gets another id
      for (let i = 0; i < 3; i++) await all.#startSentinel(i, ports[0]!, downAfterMs);
      await all.agree();
      return all;
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    const { tls } = this.primary;
    const hosts = this.sentinels.map(({ port }) => `${hostOf(tls)}:${port}`);
    return `${tls ? "rediss" : "redis"}+sentinel://${hosts.join(",")}/${NAME}`;
  }

  /** The one that was started as the primary. */
  get primary(): Redis {
    return this.redises[0]!;
  }

  async current(): Promise<Redis> {
    let current: Redis | undefined;
    await until(
      async () => (current = await this.#elected()) !== undefined,
      "most of the Sentinels name one primary",
    );
    return current!;
  }

  /** Who is the primary now, as most of the Sentinels say. */
  async #elected(): Promise<Redis | undefined> {
    const votes = new Map<number, number>();
    for (const answer of await this.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) {
      const elected = Number(answer.split("\n")[1]);
      votes.set(elected, (votes.get(elected) ?? 0) + 1);
    }
    const [elected] = [...votes].find(([, count]) => count >= 2) ?? [];
    return this.redises.find(({ port }) => port === elected);
  }

  /** One command to each Sentinel, and what each answers. */
  async ask(...command: string[]): Promise<string[]> {
    return await Promise.all(this.sentinels.map(({ port }) => askSentinel(port, this.primary.tls, command)));
  }

  /** Waits until another than this is the primary, and most Sentinels say so. */
  async failover(from: Redis): Promise<Redis> {
    let now = from;
    await until(async () => (now = await this.current()) !== from, "another is the primary");
    return now;
  }

  /** Waits until each Sentinel knows the two others and both replicas, and so could replace the primary. */
  async agree(): Promise<void> {
    await until(async () => {
      const states = await this.ask("INFO", "sentinel");
      return states.every((state) => /status=ok,address=\S+,slaves=2,sentinels=3/.test(state));
    }, "the Sentinels know each other and all replicas");
  }

  /** Waits until the primary has both replicas again, so that it could be replaced as well. */
  async complete(): Promise<void> {
    await this.agree();
    await until(async () => {
      const primary = await this.current();
      const state = await primary.command("INFO", "replication");
      return state.match(/state=online/g)?.length === 2;
    }, "the primary has both replicas again");
  }

  /** Takes a primary away from its replicas and the Sentinels, as a cut line does; all others go on to reach it. */
  async cutOff(primary: Redis): Promise<void> {
    await primary.command("ACL", "SETUSER", WATCHER.user, "off");
    await primary.command("ACL", "SETUSER", "default", "-ping", "-psync"); // which one who is turned away falls back to
    await primary.command("CLIENT", "KILL", "USER", WATCHER.user);
  }

  async join(primary: Redis): Promise<void> {
    await primary.command("ACL", "SETUSER", WATCHER.user, "on");
    await primary.command("ACL", "SETUSER", "default", "+@all");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [...this.sentinels, ...this.redises]) await process[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #startSentinel(index: number, primaryPort: number, downAfterMs: number): Promise<void> {
    const port = freePort();
    const { tls } = this.primary;
    const { user, password } = WATCHER;
    const path = `${this.#folder}/sentinel-${index}.conf`; // it writes there what it learns
    const lines = [
      ...listening(port, tls).map((setting) => setting.join(" ")),
      `dir ${this.#folder}`,
      `user ${user} on >${password} ~* &* +@all`,
      `sentinel sentinel-user ${user}`,
      `sentinel sentinel-pass ${password}`,
      ...(named(tls) ? ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"] : []),
      `sentinel monitor ${NAME} ${hostOf(tls)} ${primaryPort} 2`,
      `sentinel auth-user ${NAME} ${user}`,
      `sentinel auth-pass ${NAME} ${password}`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 3000`,
    ];
    await Deno.writeTextFile(path, lines.join("\n"));
    const process = new Subprocess("redis-sentinel", ["redis-server", path, "--sentinel"]);
    this.sentinels.push(Object.assign(process, { port }));
    await until(async () => await askSentinel(port, tls, ["PING"]) === "PONG", "a Sentinel answers");
  }
}

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
  /** Ranges and single ones. */
  slots: string[];
}

/**
 * So long after an election a Redis that was elected, and has become a replica again, holds none; and in the first half of
 * it Redis 7.0 counts the votes of the last one again: it takes the slots with an old epoch, and nobody believes it for ever.
 */
const ELECTION_MS = 4_000;

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
    const redises = await Promise.all(Array.from({ length: 6 }, () => {
      const port = freePort();
      return Redis.start({
        port,
        fresh: true,
        tls,
        args: [
          ...(tls ? ["--tls-cluster", "yes"] : []),
          ...(named(tls) ? ["--cluster-announce-hostname", tls.host] : []),
          ...(named(tls) ? ["--cluster-preferred-endpoint-type", "hostname"] : []),
          ...["--cluster-enabled", "yes", "--cluster-port", String(freePort())],
          ...["--dir", folder, "--dbfilename", `${port}.rdb`],
          ...["--cluster-config-file", `${port}.conf`, "--cluster-node-timeout", String(nodeTimeoutMs)],
          ...["--repl-diskless-sync-delay", "0"],
          ...args,
        ],
      });
    }));
    const cluster = new RedisCluster(folder, redises);
    try {
      const addresses = redises.map(({ port }) => `127.0.0.1:${port}`);
      await redises[0]!.command(
        "--cluster",
        "create",
        ...addresses,
        "--cluster-replicas",
        "1",
        "--cluster-yes",
      );
      await until(async () => {
        const views = await Promise.all(redises.map((redis) => cluster.#nodes(redis)));
        return views.every((nodes) =>
          nodes.filter(({ primary, slots }) => !primary || slots.length > 0).length === 6
        );
      }, "all know of each other");
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
      const views = await Promise.all(asked.map((redis) => this.#nodes(redis)));
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
      return known ? [{ redis: known, id, primary, follows, alive: !flags.includes("fail"), slots }] : [];
    });
  }
}

function holds(range: string, slot: number): boolean {
  const [from, to = from] = range.split("-").map(Number);
  return from! <= slot && slot <= to!;
}

/** Whether they have to be told to go by names, since their certificates do. */
function named(tls: Tls | undefined): tls is Tls {
  return tls !== undefined && /[a-z]/i.test(tls.host);
}

/** What a Redis is named where somebody has to reach it. */
function hostOf(tls: Tls | undefined): string {
  return tls?.host ?? "127.0.0.1";
}

/** One command by `redis-cli` to the Sentinel at this port. */
async function askSentinel(port: number, tls: Tls | undefined, command: string[]): Promise<string> {
  const { user, password } = WATCHER;
  const { stdout } = await new Deno.Command("redis-cli", {
    args: [...reaching(port, tls), "--user", user, "--pass", password, "--no-auth-warning", ...command],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout).trimEnd();
}
