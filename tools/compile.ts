/**
 * `deno task compile`: makes the executables `ws-server`, `tasks-server` and `tasks-cli` in the root of the repository.
 *
 * Arguments go to `deno compile`: `deno task compile --target aarch64-unknown-linux-gnu`.
 *
 * Each program is bundled first, so that an executable carries only the packages that its program imports. What it may
 * do is baked in, from the set of its name in deno.json: the same as under `deno run -P=<name>`.
 *
 * `deno compile` downloads the base runtime of its own version. Where that cannot be downloaded, `DENO_COMPILE` names
 * another Deno to compile with, and `DENORT_BIN` the base runtime that matches it; bundling stays with this Deno. The
 * bundles stay in dist/, also where there is no base runtime: the tests run them as they are.
 */

import config from "../deno.json" with { type: "json" };

/**
 * The programs, the modules that they start as workers, which a bundle cannot know of, and what V8 is told: it lets the
 * more garbage pile up the more memory the machine has, and knows nothing of the limit of a unit or a container.
 */
const PROGRAMS: Record<string, { entry: string; workers: string[]; v8Flags?: string[] }> = {
  "ws-server": { entry: "main_ws.ts", workers: [] },
  "tasks-server": {
    entry: "main_tasks.ts",
    workers: ["lib/tasks/executor_worker.ts", "lib/tasks/worker_nursery.ts"],
    v8Flags: ["--max-old-space-size=640"],
  },
  "tasks-cli": { entry: "cli.ts", workers: [] },
};

/** A bundle and those of its workers, as paths from the root of the repository. */
export function bundlesOf(name: string): { program: string; workers: string[] } {
  const folder = `dist/${name}`;
  // The program looks for a worker by its file name, beside itself.
  const workers = PROGRAMS[name]!.workers.map((path) => folder + path.slice(path.lastIndexOf("/")));
  return { program: `${folder}/${name}.js`, workers };
}

/** The exit code that says: nothing is wrong with the sources, there is only no base runtime. `EX_UNAVAILABLE`. */
export const EXIT_NO_BASE_RUNTIME = 69;

/** A named set of permissions, as deno.json has it. */
export type PermissionSet = Record<string, boolean | string[]>;

/**
 * The flags that give an executable the permissions of a set.
 *
 * A relative path in a set names sources that the program reads, which are inside an executable.
 */
export function permissionFlags(set: PermissionSet): string[] {
  return Object.entries(set).flatMap(([name, value]) => {
    if (value === true) return [`--allow-${name}`];
    if (value === false) return [];
    const items = value.filter((item) => !item.startsWith("./"));
    return items.length > 0 ? [`--allow-${name}=${items.join(",")}`] : [];
  });
}

/** The flags of `deno run` and `deno compile` that say how a program runs where no deno.json does. */
export function runtimeFlags(name: string): string[] {
  const { v8Flags } = PROGRAMS[name]!;
  return [
    ...config.unstable.map((feature) => `--unstable-${feature}`),
    ...v8Flags === undefined ? [] : [`--v8-flags=${v8Flags.join(",")}`],
  ];
}

/** Runs a command to its end; what it writes to standard error is printed when it fails. */
function run(command: string, args: string[]): void {
  const { success, stderr } = new Deno.Command(command, { args, stdout: "inherit", stderr: "piped" })
    .outputSync();
  if (success) return;
  const reason = new TextDecoder().decode(stderr);
  console.error(reason.trimEnd());
  if (reason.includes("Setting up base binary")) {
    console.error(
      "ERROR: the base runtime of an executable cannot be downloaded here; connect to the internet, or set " +
        "DENO_COMPILE and DENORT_BIN as tools/compile.ts says",
    );
    Deno.exit(EXIT_NO_BASE_RUNTIME);
  }
  console.error(`ERROR: ${command} ${args.join(" ")} failed; its words stand above`);
  Deno.exit(1);
}

function bundle(name: string): void {
  const { entry, workers } = PROGRAMS[name]!;
  const bundles = bundlesOf(name);
  const make = (from: string, to: string) =>
    run(Deno.execPath(), ["bundle", "--quiet", "--platform", "deno", "--output", to, from]);
  Deno.mkdirSync(`dist/${name}`, { recursive: true });
  make(entry, bundles.program);
  workers.forEach((path, i) => make(path, bundles.workers[i]!));
}

function compile(name: string, passedOn: string[]): void {
  const { program, workers } = bundlesOf(name);
  run(Deno.env.get("DENO_COMPILE") ?? Deno.execPath(), [
    ...["compile", "--quiet", "--no-config", "--no-check", "--no-prompt"],
    ...permissionFlags((config.permissions as Record<string, PermissionSet>)[name]!),
    ...runtimeFlags(name),
    ...workers.flatMap((file) => ["--include", file]),
    ...["--output", name, ...passedOn, program],
  ]);
}

if (import.meta.main) {
  Deno.chdir(new URL("..", import.meta.url));
  const names = Object.keys(PROGRAMS);
  names.forEach(bundle);
  for (const name of names) {
    compile(name, Deno.args);
    console.log(`compiled ${name}`);
  }
}
