/** The load balancer of the repository, with its own Caddyfile, on a free port. */

import { freePort } from "./ports.ts";
import { Subprocess } from "./subprocess.ts";
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
  readonly #process: Subprocess;
  readonly #home: string;

  private constructor(readonly port: number, { upstreams, env }: CaddyOptions) {
    this.#home = Deno.makeTempDirSync({ prefix: "solo-caddy-" });
    this.#process = new Subprocess(
      "caddy",
      ["caddy", "run", "--config", CADDYFILE, "--adapter", "caddyfile"],
      {
        env: {
          PATH: Deno.env.get("PATH") ?? "",
          HOME: this.#home, // Caddy keeps a copy of its configuration there
          SOLO_SITE: `:${port}`,
          SOLO_BIND: "127.0.0.1",
          SOLO_UPSTREAMS: upstreams.map((upstream) => `127.0.0.1:${upstream}`).join(" "),
          ...env,
        },
      },
    );
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

  get pid(): number {
    return this.#process.pid;
  }

  /** What it has logged until now. */
  get log(): LogEntry[] {
    return [...this.#process.stdout, ...this.#process.stderr].map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    Deno.removeSync(this.#home, { recursive: true });
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
