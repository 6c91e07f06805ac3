/** A program on a terminal of its own, by util-linux's `script`. */

import { withDeadline } from "../../lib/service/clock.ts";
import { commandOf, passedOn, type ProgramName } from "./program.ts";
import { PATIENCE_MS } from "./wait.ts";

export class Terminal implements AsyncDisposable {
  /** All that the program has written, control characters included. */
  screen = "";
  /** Resolves with the exit code of the program when it has ended and all is on the screen. */
  readonly ended: Promise<number>;
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #onChange: (() => void) | undefined;

  /** @param env The program's environment; only what starts it is added. */
  constructor(name: ProgramName, args: string[], env: Record<string, string> = {}) {
    const command = [...commandOf(name), ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(
      " ",
    );
    this.#child = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      clearEnv: true,
      env: { ...passedOn(), SHELL: "/bin/sh", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#keyboard = this.#child.stdin.getWriter();
    this.ended = this.#collect();
  }

  /** Waits until something like this is on the screen. */
  async shows(pattern: RegExp): Promise<void> {
    const search = new Promise<void>((resolve) => {
      const look = () => {
        if (pattern.test(this.screen)) resolve();
      };
      this.#onChange = look;
      look();
    });
    await withDeadline(search, PATIENCE_MS, `nothing like ${pattern} on the screen`);
  }

  async type(keys: string): Promise<void> {
    await this.#keyboard.write(new TextEncoder().encode(keys));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keyboard.abort().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await this.ended;
  }

  async #collect(): Promise<number> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.screen += text;
      this.#onChange?.();
    }
    return (await this.#child.status).code;
  }
}
