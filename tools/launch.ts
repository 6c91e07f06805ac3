/** Starts programs side by side, prefixes what they print, and ends them together. */

import { TextLineStream } from "../tests/support/lines.ts";

/** One program to run. */
export interface Part {
  /** Stands before each of its lines. */
  name: string;
  /** The program and its arguments. */
  command: string[];
  env?: Record<string, string>;
}

/**
 * Runs all parts until one ends or the operator presses Ctrl-C; then stops the others with SIGTERM.
 *
 * @param onUp Called once every part has printed a line that matches its `ready` pattern.
 * @returns the exit code: 0 after Ctrl-C, 1 where a part ended by itself.
 */
export async function launch(parts: (Part & { ready: RegExp })[], onUp: () => void): Promise<number> {
  const width = Math.max(...parts.map((part) => part.name.length));
  const children: Deno.ChildProcess[] = [];
  const ended = Promise.withResolvers<number>();
  const stop = () => ended.resolve(0);
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, stop);

  let waiting = parts.length;
  const output = parts.map(async ({ name, command, env, ready }) => {
    const [program, ...args] = command;
    const child = new Deno.Command(program!, { args, env, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    children.push(child);
    let up = false;
    const print = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (
        const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      ) {
        console.log(`${name.padEnd(width)} | ${line}`);
        if (up || !ready.test(line)) continue;
        up = true;
        if (--waiting === 0) onUp();
      }
    };
    await Promise.all([print(child.stdout), print(child.stderr)]);
    const { code } = await child.status;
    ended.resolve(1);
    return code;
  });

  const code = await ended.promise;
  for (const child of children) {
    try {
      child.kill("SIGTERM");
    } catch {
      // has ended already
    }
  }
  await Promise.all(output);
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, stop);
  return code;
}
