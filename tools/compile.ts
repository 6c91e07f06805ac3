/**
 * `deno task compile`: makes the executables `ws-server`, `tasks-server` and `tasks-cli` in the root of the repository.
 *
 * Arguments go to `deno compile`: `deno task compile --target aarch64-unknown-linux-gnu`.
 *
 * Each program is bundled first, so that an executable carries only the packages that its program imports. What it may
 * do is baked in, from the set of its name in deno.json: the same as under `deno run -P=<name>`.
 *
 * `deno compile` downloads the base runtime of its own version. Where that cannot be downloaded, `DENO_COMPILE` names
 * another Deno to compile with, and `DENORT_BIN` the base runtime that matches it; bundling stays with this Deno.
 */

import config from "../deno.json" with { type: "json" };

/** The programs, and the modules that they start as workers: a bundle cannot know of those. */
const PROGRAMS: Record<string, { entry: string; workers: string[] }> = {
  "ws-server": { entry: "main_ws.ts", workers: [] },
  "tasks-server": { entry: "main_tasks.ts", workers: ["lib/tasks/executor_worker.ts"] },
  "tasks-cli": { entry: "cli.ts", workers: [] },
};

/** The exit code that says: nothing is wrong with the sources, there is only no base runtime. `EX_UNAVAILABLE`. */
const EXIT_NO_BASE_RUNTIME = 69;

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

function compile(name: string, passedOn: string[]): void {
  const { entry, workers } = PROGRAMS[name]!;
  const folder = `dist/${name}`;
  const bundle = (from: string, to: string) =>
    run(Deno.execPath(), ["bundle", "--quiet", "--platform", "deno", "--output", `${folder}/${to}`, from]);
  Deno.mkdirSync(folder, { recursive: true });
  bundle(entry, `${name}.js`);
  // The program looks for a worker by its file name, beside itself.
  const fileNames = workers.map((path) => path.slice(path.lastIndexOf("/") + 1));
  workers.forEach((path, i) => bundle(path, fileNames[i]!));
  run(Deno.env.get("DENO_COMPILE") ?? Deno.execPath(), [
    ...["compile", "--quiet", "--no-config", "--no-check", "--no-prompt"],
    ...permissionFlags((config.permissions as Record<string, PermissionSet>)[name]!),
    ...fileNames.flatMap((file) => ["--include", `${folder}/${file}`]),
    ...["--output", name, ...passedOn, `${folder}/${name}.js`],
  ]);
}

if (import.meta.main) {
  Deno.chdir(new URL("..", import.meta.url));
  for (const name of Object.keys(PROGRAMS)) {
    compile(name, Deno.args);
    console.log(`compiled ${name}`);
  }
}
