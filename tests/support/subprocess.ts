/** A child process of a test: what it says is kept, and disposing of it kills it. */

import { withDeadline } from "../../lib/service/clock.ts";
import { PATIENCE_MS } from "./wait.ts";

export interface SubprocessOptions {
  /** Its whole environment. @default that of this process */
  env?: Record<string, string>;
  cwd?: string | URL;
  /** What standard input holds; it is closed after it. */
  stdin?: string | Uint8Array;
}

export class Subprocess implements AsyncDisposable {
  /** Told of every one that is started; the harness shows what those of a failed test have said. */
  static onStart: ((subprocess: Subprocess) => void) | undefined;

  /** All that it has said until now. */
  readonly text = { stdout: "", stderr: "" };
  readonly pid: number;
  /** Resolves when it has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  #onText: (() => void) | undefined;

  constructor(readonly name: string, command: string[], { env, cwd, stdin }: SubprocessOptions = {}) {
    const [path, ...args] = command;
    this.#child = new Deno.Command(path!, {
      args,
      ...(env && { clearEnv: true, env }),
      cwd,
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.status = this.#child.status;
    this.#drained = Promise.all([
      this.#collect("stdout"),
      this.#collect("stderr"),
      stdin === undefined ? undefined : this.#feed(stdin),
    ]);
    Subprocess.onStart?.(this);
  }

  /** The whole lines that it has written to standard output until now. */
  get stdout(): string[] {
    return linesOf(this.text.stdout);
  }

  /** The whole lines that it has written to standard error until now. */
  get stderr(): string[] {
    return linesOf(this.text.stderr);
  }

  /** Waits for a line on standard error or output that matches; lines already there count. */
  async line(pattern: RegExp): Promise<RegExpMatchArray> {
    const find = () =>
      [...this.stderr, ...this.stdout].map((line) => line.match(pattern)).find((match) => match);
    const search = new Promise<RegExpMatchArray>((resolve, reject) => {
      const look = () => {
        const match = find();
        if (match) resolve(match);
      };
      this.#onText = look;
      this.#drained.then(() => {
        look();
        reject(new Error(`${this.name} ended before a line matched ${pattern}:\n${this.stderr.join("\n")}`));
      });
      look();
    });
    return await withDeadline(search, PATIENCE_MS, `${this.name} printed no line like ${pattern}`);
  }

  /** Sends a signal; nothing happens where it has ended already. */
  kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // has ended already
    }
  }

  /** Waits for the end, when all that it has said is there; returns the exit code. */
  async end(): Promise<number> {
    const { code } = await withDeadline(this.status, PATIENCE_MS, `${this.name} did not end`);
    await this.#drained;
    return code;
  }

  /** Sends a signal and waits for the end; returns the exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.kill(signal);
    return await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.status;
    await this.#drained;
  }

  async #collect(from: "stdout" | "stderr"): Promise<void> {
    for await (const text of this.#child[from].pipeThrough(new TextDecoderStream())) {
      this.text[from] += text;
      this.#onText?.();
    }
  }

  async #feed(stdin: string | Uint8Array): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin)
      .catch(() => {}); // it may end before it has read all
    await writer.close().catch(() => {});
  }
}

function linesOf(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
