/**
 * Node 22, in which the reference client has to work: its executable as the npm registry has it, whatever `node` is on
 * the PATH. For Linux only; elsewhere the `node` on the PATH is taken, and has to be 22 or later.
 */

const VERSION = "22.23.3";

const ARCH = { x86_64: "x64", aarch64: "arm64" }[Deno.build.arch];

/**
 * Where it is. The first time it is downloaded, by `tools/prerequisites.ts`: tests ask no registry. It is not in deno.json,
 * where everyone who starts a service would download its 180 MB.
 *
 * @throws {Error} when it can be neither found nor downloaded.
 */
export function node22(): string {
  // `deno x` keeps what it has downloaded in Deno's own cache, and prints what it does only the first time
  const run = Deno.build.os === "linux"
    ? [Deno.execPath(), "x", "--yes", "--no-config", `npm:node-linux-${ARCH}@${VERSION}`]
    : ["node"];
  const [command, ...args] = [...run, "--print", "process.version + ' ' + process.execPath"];
  const { success, stdout, stderr } = new Deno.Command(command!, { args }).outputSync();
  const [, major, path] = /^v(\d+)\S+ (.+)$/m.exec(new TextDecoder().decode(stdout)) ?? [];
  if (success && Number(major) >= 22) return path!;
  throw new Error(
    `Cannot run Node 22 by ${run.join(" ")}: ${major ?? new TextDecoder().decode(stderr).trim()}`,
  );
}
