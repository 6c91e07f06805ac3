/** A Redis of the test's own: on a free port, without persistence, gone with the test. */

import { withDeadline } from "../../lib/service/clock.ts";

export interface RedisOptions {
  /** The port to listen on. @default a free one */
  port?: number;
  /** More settings for the command line. */
  args?: string[];
}

export class Redis implements AsyncDisposable {
  #child: Deno.ChildProcess | undefined;

  private constructor(readonly port: number, readonly args: string[]) {}

  /** Starts a `redis-server` and waits until it answers. */
  static async start({ port, args = [] }: RedisOptions = {}): Promise<Redis> {
    const redis = new Redis(port ?? freePort(), args);
    await redis.restart();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child!.pid;
  }

  /** Starts it again after `kill`, on the same port and with no data. */
  async restart(): Promise<void> {
    this.#child = new Deno.Command("redis-server", {
      args: [
        "--port",
        String(this.port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        ...this.args,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await withDeadline(this.#answering(), 10_000, "redis-server did not answer");
  }

  /** SIGKILL: what it held is lost. */
  async kill(): Promise<void> {
    if (!this.#child) return;
    const child = this.#child;
    this.#child = undefined;
    child.kill("SIGKILL");
    await child.status;
  }

  /** SIGSTOP: it accepts connections and does not answer. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** SIGCONT. */
  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** One command by `redis-cli`, its answer as text. */
  async command(...args: string[]): Promise<string> {
    const { stdout } = await new Deno.Command("redis-cli", {
      args: ["-p", String(this.port), ...args],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #answering(): Promise<void> {
    while (await this.command("PING") !== "PONG") await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
