/** A Redis of the test's own: on a free port, without persistence, gone with the test. */

import sharedLua from "../../lib/sessions/registry/redis/lua/shared.lua" with { type: "text" };
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { listening, reaching, type Tls } from "./certificates.ts";
import { freePort } from "./ports.ts";
import { Subprocess } from "./subprocess.ts";
import { until } from "./wait.ts";

export interface RedisOptions {
  /** The port to listen on. @default a free one */
  port?: number;
  /** More settings for the command line. */
  args?: string[];
  /** Speaks nothing but TLS, with this certificate. */
  tls?: Tls;
  /** Whether the service has never been here: it has to wait then, as it does after a loss of the data. @default false */
  fresh?: boolean;
}

export class Redis implements AsyncDisposable {
  #process: Subprocess | undefined;

  private constructor(readonly port: number, readonly args: string[], readonly tls: Tls | undefined) {}

  /** Starts a `redis-server` and waits until it answers. */
  static async start({ port, args = [], fresh = false, tls }: RedisOptions = {}): Promise<Redis> {
    const redis = new Redis(port ?? freePort(), args, tls);
    try {
      await redis.restart();
      if (!fresh) await redis.beKnown();
      return redis;
    } catch (error) {
      await redis.kill();
      throw error;
    }
  }

  /** Starts several at once; where one of them cannot be started the others end too. */
  static async startAll(options: RedisOptions[]): Promise<Redis[]> {
    const starts = await Promise.allSettled(options.map((each) => Redis.start(each)));
    const started = starts.filter((start) => start.status === "fulfilled").map(({ value }) => value);
    const failure = starts.find((start) => start.status === "rejected");
    if (!failure) return started;
    for (const redis of started) await redis[Symbol.asyncDispose]();
    throw failure.reason;
  }

  get url(): string {
    return this.tls ? `rediss://${this.tls.host}:${this.port}` : `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process!.pid;
  }

  /** Starts it again after `kill`, on the same port and with no data. */
  async restart(): Promise<void> {
    this.#process = new Subprocess("redis-server", [
      "redis-server",
      ...listening(this.port, this.tls).flatMap(([name, value]) => [`--${name}`, value]),
      ...["--save", "", "--appendonly", "no"],
      ...this.args,
    ]);
    await this.#process.line(/Ready to accept connections/); // this one, whoever else might answer at its port
  }

  /** SIGKILL: what it held is lost. */
  async kill(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    this.#process = undefined;
  }

  /** Ends in order: what it held is in its snapshot. */
  async shutdown(): Promise<void> {
    await this.command("SHUTDOWN", "SAVE");
    await this.#process!.end();
    this.#process = undefined;
  }

  /** SIGSTOP: it accepts connections and does not answer. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** SIGCONT. */
  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Waits until this much has passed by the clock of the leases, which lags behind Redis's own where renewals are late. */
  async passes(ms: number): Promise<void> {
    const nowMs = async () =>
      Number(await this.command("EVAL", `${sharedLua} return text(now)`, "1", "{solo}:generation"));
    const end = await nowMs() + ms;
    await until(async () => await nowMs() >= end, `${ms} ms have passed`);
  }

  /** The lease of a node is over; for one whose process is dead, so that nobody has to wait for it. */
  async endLease(node: string): Promise<void> {
    await this.command("ZADD", "{solo}:nodes", "XX", "0", node);
  }

  /** One command by `redis-cli`, its answer as text. */
  async command(...args: string[]): Promise<string> {
    const { stdout } = await new Deno.Command("redis-cli", {
      args: [...reaching(this.port, this.tls), ...args],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trimEnd();
  }

  /** As if a process of the service had been here, and had left in order when all was settled. */
  async beKnown(prefix = "solo"): Promise<void> {
    const [generation, nodes, members, events] = ["generation", "nodes", "members", "events"].map((key) =>
      `{${prefix}}:${key}`
    );
    const keys = [generation!, nodes!, members!];
    const lease = ["before", "10000", "1", "join", "", "0", "0", "", ""];
    await this.command("EVAL", SCRIPTS.renew, "4", ...keys, events!, ...lease);
    await this.command("EVAL", SCRIPTS.forget, "3", ...keys, "before");
    await this.command("HSET", generation!, "settles_at", await this.command("HGET", generation!, "now"));
    await this.command("DEL", events!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
