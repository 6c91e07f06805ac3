/** A part of a benchmark in a process of its own, asked by JSON lines on standard input, answering on standard output. */

import { TextLineStream } from "../../tests/support/lines.ts";

/** The asking side. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #answers: AsyncIterator<string>;

  /** @param script The module that calls `answerRequests`. */
  constructor(script: URL) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-net", script.pathname],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#answers = this.#child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** One request at a time. */
  async ask<T>(request: unknown): Promise<T> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("a process of the benchmark ended; its error stands above");
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#writer.close().catch(() => {});
    await this.#answers.return?.();
  }
}

/** The answering side. */
export async function answerRequests(answer: (request: never) => unknown): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) {
    console.log(JSON.stringify(await answer(JSON.parse(line) as never) ?? null));
  }
}
