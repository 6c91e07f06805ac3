/** Starts programs side by side, prefixes what they print, and ends them together. */

import { TextLineStream } from "../tests/support/lines.ts";

/** One program to run. */
export interface Part {
  /** Stands before each of its lines. */
  name: string;
  /** The program and its arguments. */
  command: string[];
  env?: Record<string, string>;
  /** The line that says that it is up. */
  ready: RegExp;
  /** Only lines that match are printed. @default all */
  show?: RegExp;
}

/** The command that runs one of our own programs from its sources. */
export function fromSources(permissionSet: string, entry: string, ...args: string[]): string[] {
  return [Deno.execPath(), "run", "-q", "--no-prompt", `-P=${permissionSet}`, entry, ...args];
}

/** How long a part may take to end; our servers give their clients half of it. */
const PATIENCE_MS = 10_000;

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs all parts until one ends or the operator presses Ctrl-C; then stops the others with SIGTERM, each
 * before those that stand before it, so that what a part needs comes first in the list. A second Ctrl-C is passed on at
 * once to all.
 *
 * @param onUp Called once every part has printed a line that matches its `ready` pattern.
 * @returns the exit code: 0 after Ctrl-C, 1 where a part ended by itself.
 */
export async function launch(parts: Part[], onUp: () => void): Promise<number> {
  const width = Math.max(...parts.map((part) => part.name.length));
  const print = (name: string, line: string) => console.log(`${name.padEnd(width)} | ${line}`);
  const children: Deno.ChildProcess[] = [];
  const ended = Promise.withResolvers<number>();
  let stopping = false;
  const stop = () => {
    if (stopping) children.forEach((child) => terminate(child));
    ended.resolve(0);
  };
  for (const name of SIGNALS) Deno.addSignalListener(name, stop);

  let waiting = parts.length;
  const output = parts.map(async ({ name, command, env, ready, show }) => {
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
    const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (
        const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      ) {
        if (!show || show.test(line)) print(name, line);
        if (up || !ready.test(line)) continue;
        up = true;
        if (--waiting === 0) onUp();
      }
    };
    await Promise.all([follow(child.stdout), follow(child.stderr)]);
    const { code } = await child.status;
    if (!stopping) print(name, `ended with exit code ${code}: stopping everything`);
    ended.resolve(1);
    return code;
  });

  const code = await ended.promise;
  stopping = true;
  for (const child of children.toReversed()) {
    terminate(child);
    const impatience = setTimeout(() => terminate(child, "SIGKILL"), PATIENCE_MS);
    await child.status;
    clearTimeout(impatience);
  }
  await Promise.all(output);
  for (const name of SIGNALS) Deno.removeSignalListener(name, stop);
  return code;
}

function terminate(child: Deno.ChildProcess, signal: Deno.Signal = "SIGTERM"): void {
  try {
    child.kill(signal);
  } catch {
    // has ended already
  }
}
