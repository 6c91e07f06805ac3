/** The programs of this project as child processes: from the sources, as bundles, or as executables. */

import config from "../../deno.json" with { type: "json" };
import { bundlesOf, permissionFlags, type PermissionSet, runtimeFlags } from "../../tools/compile.ts";
import { Subprocess } from "./subprocess.ts";

const ROOT = new URL("../../", import.meta.url);

const ENTRY_POINTS = {
  "ws-server": "main_ws.ts",
  "tasks-server": "main_tasks.ts",
  "tasks-cli": "cli.ts",
} as const;

/**
 * What is run: the sources, or what `deno task compile` has made of them. The bundles are run by this Deno with exactly the
 * permissions of the executables: so they are what users get, where only another base runtime can be had here.
 */
export const PROGRAMS = Deno.env.get("SOLO_PROGRAMS") ?? "sources";
if (!["sources", "bundles", "executables"].includes(PROGRAMS)) {
  throw new Error(`Cannot run SOLO_PROGRAMS=${PROGRAMS}: sources, bundles or executables`);
}

/** Whether another Deno has compiled the executables (`DENO_COMPILE`): their base runtime is older than this one. */
const OLDER_RUNTIME = PROGRAMS === "executables" && Deno.env.get("DENO_COMPILE") !== undefined;

/** Names a test, or a step, that executables with an older base runtime cannot pass; there it is left out, visibly. */
export function unlessOlderRuntime(name: string, why: string): { name: string; ignore: boolean } {
  return {
    name: OLDER_RUNTIME ? `${name} (left out with these executables: ${why})` : name,
    ignore: OLDER_RUNTIME,
  };
}

export type ProgramName = keyof typeof ENTRY_POINTS;

/**
 * The command that starts a program exactly as its users start it.
 *
 * @param mayRead Folders that it may read beside; not with executables, whose rights are baked in.
 */
export function commandOf(name: ProgramName, mayRead: string[] = []): string[] {
  const path = (relative: string) => new URL(relative, ROOT).pathname;
  const run = [Deno.execPath(), "run", "-q", "--no-prompt", ...runtimeFlags(name)];
  if (PROGRAMS === "sources") {
    const beside = mayRead.length > 0 ? [`--allow-read=${mayRead.join(",")}`] : [];
    return [...run, "--config", path("deno.json"), `-P=${name}`, ...beside, path(ENTRY_POINTS[name])];
  }
  if (PROGRAMS === "executables") return [path(name)];
  const { program, workers } = bundlesOf(name);
  const flags = permissionFlags((config.permissions as Record<string, PermissionSet>)[name]!);
  // a worker is inside an executable; from a file it has to be read
  const readable = [...workers.map(path), ...mayRead];
  if (readable.length > 0) flags.push(`--allow-read=${readable.join(",")}`);
  return [...run, "--no-config", ...flags, path(program)];
}

export interface ProgramOptions {
  /** Added to an otherwise empty environment. */
  env?: Record<string, string>;
  /** What standard input holds; it is closed after it. */
  stdin?: string | Uint8Array;
  /** Run in the place of the program's own command. */
  command?: string[];
}

/** A program that runs beside the test; disposing of it kills it. */
export class Program extends Subprocess {
  constructor(name: ProgramName, args: string[], { env, stdin, command }: ProgramOptions = {}) {
    super(name, [...command ?? commandOf(name), ...args], {
      env: { ...passedOn(), NO_COLOR: "1", ...env },
      stdin,
    });
  }
}

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export async function runProgram(
  name: ProgramName,
  args: string[],
  options: ProgramOptions = {},
): Promise<Output> {
  await using program = new Program(name, args, options);
  const code = await program.end();
  return { code, ...program.text };
}

/** A running server and where it listens. */
export interface Server extends AsyncDisposable {
  program: Program;
  port: number;
}

/** How often a server is started whose Redis does not answer. */
const MAX_STARTS = 10;

/** Starts a server on a free port of the loopback address and waits until it says that it listens. */
export async function startServer(
  name: "ws-server" | "tasks-server",
  args: string[] = [],
  options: ProgramOptions = {},
): Promise<Server> {
  for (let starts = 1;; starts++) {
    const program = new Program(name, ["--host", "127.0.0.1", "--port", "0", ...args], options);
    try {
      const [, port] = await program.line(/listening on \S*?:(\d+)/);
      return { program, port: Number(port), [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
    } catch (error) {
      await program[Symbol.asyncDispose]();
      // on a busy machine Redis may need longer than a start waits for it: whoever supervises a server starts it again
      if (
        !/accepts connections but does not answer|Connection timeout/.test(program.text.stderr) ||
        starts >= MAX_STARTS
      ) {
        throw error;
      }
    }
  }
}

/** What a program is given of this process's environment: how to find commands, and Deno's cache of packages. */
export function passedOn(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}
