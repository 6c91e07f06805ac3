/** A process of clients, from outside; see crowd.ts. */

import { TextLineStream } from "../support/lines.ts";
import type { CrowdOptions } from "./crowd.ts";
import type { Event } from "./history.ts";

export class CrowdProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #commands: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<void>;

  constructor(options: CrowdOptions, record: (event: Event) => void) {
    const script = new URL("./crowd.ts", import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", script, JSON.stringify(options)],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#commands = this.#child.stdin.getWriter();
    this.#read = this.#collect(record);
  }

  async say(command: "calm" | "storm" | "go" | "leave"): Promise<void> {
    await this.#commands.write(new TextEncoder().encode(command + "\n"));
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(signal);
  }

  /** Everybody goes; resolves when all of the history is there. */
  async leave(): Promise<void> {
    await this.say("leave");
    await this.#read;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await this.#commands.abort().catch(() => {});
    await this.#child.status;
    await this.#read;
  }

  async #collect(record: (event: Event) => void): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      try {
        record(JSON.parse(line));
      } catch {
        // cut off when the process was killed
      }
    }
  }
}
