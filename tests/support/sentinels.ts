/** A primary with replicas that Sentinels watch. */

import { hostOf, isNamed, listening, reaching, type Tls } from "./certificates.ts";
import { freePort } from "./ports.ts";
import { Redis } from "./redis.ts";
import type { Replicated } from "./replicated.ts";
import { Subprocess } from "./subprocess.ts";
import { until } from "./wait.ts";

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
      ...(isNamed(tls) ? ["--replica-announce-ip", tls.host] : []),
      ...args,
    ];
    const ports = [freePort(), freePort(), freePort()];
    const folder = await Deno.makeTempDir({ prefix: "solo-sentinels-" });
    const own = (port: number) => ["--dir", folder, "--dbfilename", `${port}.rdb`]; // a replica writes what it is sent
    const redises = await Redis.startAll(ports.map((port, i) => ({
      port,
      fresh: true,
      tls,
      args: [...settings, ...own(port), ...(i > 0 ? ["--replicaof", hostOf(tls), String(ports[0])] : [])],
    })));
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
      ...(isNamed(tls) ? ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"] : []),
      `sentinel monitor ${NAME} ${hostOf(tls)} ${primaryPort} 2`,
      `sentinel auth-user ${NAME} ${user}`,
      `sentinel auth-pass ${NAME} ${password}`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 3000`,
    ];
    await Deno.writeTextFile(path, lines.join("\n"));
    const process = new Subprocess("redis-sentinel", ["redis-server", path, "--sentinel"]);
    this.sentinels.push(Object.assign(process, { port }));
    // one that has stood still for 2 s trusts no clock for 30 s, and replaces nobody
    const trusting = ["SENTINEL", "DEBUG", "tilt-trigger", "3600000"];
    await until(async () => await askSentinel(port, tls, trusting) === "OK", "a Sentinel answers");
  }
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
