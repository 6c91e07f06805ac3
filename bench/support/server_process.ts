/** Any server that says `listening on <host>:<port>`, as a child process. */

import { TextLineStream } from "../../tests/support/lines.ts";

export interface ServerProcess extends AsyncDisposable {
  pid: number;
  port: number;
}

/** Starts it and waits until it listens. What it writes to standard error is shown. */
export async function startProcess(
  command: string[],
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const [program, ...args] = command;
  const child = new Deno.Command(program!, { args, env, stdin: "null", stdout: "piped" }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const stop = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await child.status;
  };
  for await (const line of lines) {
    const port = Number(line.match(/^listening on \S+:(\d+)$/)?.[1]);
    if (port) return { pid: child.pid, port, [Symbol.asyncDispose]: stop };
  }
  await stop();
  throw new Error(`${command.join(" ")} ended before it listened`);
}
