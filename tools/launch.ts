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

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs all parts until one ends or the operator presses Ctrl-C; then stops the others with SIGTERM. A second Ctrl-C is
 * passed on too: the parts then end at once.
 *
 * @param onUp Called once every part has printed a line that matches its `ready` pattern.
 * @returns the exit code: 0 after Ctrl-C, 1 where a part ended by itself.
 */
export async function launch(parts: (Part & { ready: RegExp })[], onUp: () => void): Promise<number> {
  const width = Math.max(...parts.map((part) => part.name.length));
  const children: Deno.ChildProcess[] = [];
  const ended = Promise.withResolvers<number>();
  let stopping = false;
  const stop = () => {
    if (stopping) stopChildren();
    ended.resolve(0);
  };
  const stopChildren = () => {
    stopping = true;
    for (const child of children) {
      try {
        child.kill("SIGTERM");
      } catch {
        // has ended already
      }
    }
  };
  for (const name of SIGNALS) Deno.addSignalListener(name, stop);

  let waiting = parts.length;
  const output = parts.map(async ({ name, command, env, ready }) => {
    const [program, ...args] = command;
    const child = new Deno.Command(program!, {
      args,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true, // in a process group of its own: else Ctrl-C reaches it too, and our SIGTERM is its second signal
    }).spawn();
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
  stopChildren();
  await Promise.all(output);
  for (const name of SIGNALS) Deno.removeSignalListener(name, stop);
  return code;
}
