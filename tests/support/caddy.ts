/** The load balancer of the repository, with its own Caddyfile, on a free port. */

import { TextLineStream } from "./lines.ts";
import { freePort } from "./redis.ts";
import { until } from "./wait.ts";

const CADDYFILE = new URL("../../Caddyfile", import.meta.url).pathname;

export interface CaddyOptions {
  /** Ports of the ws-servers on the loopback address. */
  upstreams: number[];
  /** More of what the Caddyfile reads from the environment. */
  env?: Record<string, string>;
}

/** A line of Caddy's log, as far as the tests look at it. */
export interface LogEntry {
  logger?: string;
  msg: string;
  request?: { uri: string };
}

export class Caddy implements AsyncDisposable {
  readonly log: LogEntry[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  readonly #home: string;

  private constructor(readonly port: number, { upstreams, env }: CaddyOptions) {
    this.#home = Deno.makeTempDirSync({ prefix: "solo-caddy-" });
    this.#child = new Deno.Command("caddy", {
      args: ["run", "--config", CADDYFILE, "--adapter", "caddyfile"],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: this.#home, // Caddy keeps a copy of its configuration there
        SOLO_SITE: `:${port}`,
        SOLO_BIND: "127.0.0.1",
        SOLO_UPSTREAMS: upstreams.map((upstream) => `127.0.0.1:${upstream}`).join(" "),
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#drained = Promise.all([this.#collect(this.#child.stdout), this.#collect(this.#child.stderr)]);
  }

  /** Starts it and waits until it reaches an upstream. */
  static async start(options: CaddyOptions): Promise<Caddy> {
    const caddy = new Caddy(freePort(), options);
    try {
      await until(() => caddy.#answers(), "caddy reaches a ws-server");
      return caddy;
    } catch (error) {
      await caddy[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await this.#child.status;
    await this.#drained;
    Deno.removeSync(this.#home, { recursive: true });
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      this.log.push(JSON.parse(line));
    }
  }

  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`http://${this.address}/healthz`);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}
