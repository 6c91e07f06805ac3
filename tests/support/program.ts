/** The programs of this project as child processes: from the sources, or the executables in `SOLO_EXECUTABLES`. */

import { TextLineStream } from "./lines.ts";
import { withDeadline } from "../../lib/service/clock.ts";

const ROOT = new URL("../../", import.meta.url);

const ENTRY_POINTS = {
  "ws-server": "main_ws.ts",
  "tasks-server": "main_tasks.ts",
  "tasks-cli": "cli.ts",
} as const;

/**
 * Whether the programs are executables that another Deno has compiled (`DENO_COMPILE`, see tools/compile.ts): their base
 * runtime is older than this one.
 */
const OLDER_RUNTIME = Deno.env.get("SOLO_EXECUTABLES") !== undefined &&
  Deno.env.get("DENO_COMPILE") !== undefined;

/** Names a test, or a step, that executables with an older base runtime cannot pass; there it is left out, visibly. */
export function unlessOlderRuntime(name: string, why: string): { name: string; ignore: boolean } {
  return {
    name: OLDER_RUNTIME ? `${name} (left out with these executables: ${why})` : name,
    ignore: OLDER_RUNTIME,
  };
}

export type ProgramName = keyof typeof ENTRY_POINTS;

/** How long a program may take to do what a test waits for; generous, since the machine may be busy. */
const PATIENCE_MS = 30_000;

/** The command that starts a program exactly as its users start it. */
export function commandOf(name: ProgramName): string[] {
  const folder = Deno.env.get("SOLO_EXECUTABLES");
  if (folder) return [`${folder}/${name}`];
  const entry = new URL(ENTRY_POINTS[name], ROOT).pathname;
  const config = new URL("deno.json", ROOT).pathname;
  return [Deno.execPath(), "run", "-q", "--no-prompt", "--config", config, `-P=${name}`, entry];
}

export interface ProgramOptions {
  /** Added to an otherwise empty environment. */
  env?: Record<string, string>;
  /** What standard input holds; it is closed after it. */
  stdin?: string | Uint8Array;
  /** Run in the place of the program's own command. */
  command?: string[];
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
  const child = spawn(name, args, options, options.stdin === undefined ? "null" : "piped");
  const output = child.output();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    const bytes = typeof options.stdin === "string" ? new TextEncoder().encode(options.stdin) : options.stdin;
    await writer.write(bytes).catch(() => {}); // it may end before it has read all
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await withDeadline(
    output,
    PATIENCE_MS,
    `${name} ${args.join(" ")} did not end`,
  );
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** A program that runs beside the test; disposing of it kills it. */
export class Program implements AsyncDisposable {
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly pid: number;
  /** Resolves when the program has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;
  #onLine: (() => void) | undefined;

  constructor(readonly name: ProgramName, args: string[], options: ProgramOptions = {}) {
    this.#child = spawn(name, args, options, "null");
    this.pid = this.#child.pid;
    this.status = this.#child.status;
    this.#drained = Promise.all([
      this.#collect(this.#child.stdout, this.stdout),
      this.#collect(this.#child.stderr, this.stderr),
    ]);
  }

  /** Waits for a line on standard error or output that matches; lines already there count. */
  async line(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpMatchArray> {
    const find = () =>
      [...this.stderr, ...this.stdout].map((line) => line.match(pattern)).find((match) => match);
    const search = new Promise<RegExpMatchArray>((resolve, reject) => {
      const look = () => {
        const match = find();
        if (match) resolve(match);
      };
      this.#onLine = look;
      this.#drained.then(() => {
        look();
        reject(new Error(`${this.name} ended before a line matched ${pattern}:\n${this.stderr.join("\n")}`));
      });
      look();
    });
    return await withDeadline(search, timeoutMs, `${this.name} printed no line like ${pattern}`);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and waits for the end; returns the exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.#child.kill(signal);
    const { code } = await withDeadline(this.status, PATIENCE_MS, `${this.name} did not end on ${signal}`);
    await this.#drained;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await this.status;
    await this.#drained;
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, lines: string[]): Promise<void> {
    for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      lines.push(line);
      this.#onLine?.();
    }
  }
}

/** A running server and where it listens. */
export interface Server extends AsyncDisposable {
  program: Program;
  port: number;
}

/** Starts a server on a free port of the loopback address and waits until it says that it listens. */
export async function startServer(
  name: "ws-server" | "tasks-server",
  args: string[] = [],
  options: ProgramOptions = {},
): Promise<Server> {
  const program = new Program(name, ["--host", "127.0.0.1", "--port", "0", ...args], options);
  try {
    const [, port] = await program.line(/listening on \S*?:(\d+)/);
    return { program, port: Number(port), [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
}

function spawn(
  name: ProgramName,
  args: string[],
  { env, command: other }: ProgramOptions,
  stdin: "null" | "piped",
) {
  const [command, ...rest] = other ?? commandOf(name);
  return new Deno.Command(command!, {
    args: [...rest, ...args],
    clearEnv: true,
    env: { ...passedOn(), NO_COLOR: "1", ...env },
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** What a program is given of this process's environment: how to find commands, and Deno's cache of packages. */
export function passedOn(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}
