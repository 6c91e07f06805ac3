/**
 * Servers that are broken on purpose: the chaos run must be able to fail.
 *
 * The program is the real one; an import map puts a broken module in the place of a right one.
 */

const ROOT = new URL("../../", import.meta.url);

/** For each kind, which module is replaced, for whom, and by what. */
const SABOTAGES: Readonly<Record<string, { importer: string; module: string; by: string }>> = {
  /** A claim looks whether the client is free, then writes: two at a time both find it free. */
  "check-then-set": {
    importer: "lib/sessions/redis_registry.ts",
    module: "lib/sessions/redis_store.ts",
    by: "tests/chaos/sabotage/check_then_set.ts",
  },
  /** A new session does not wait for the end of the old one. */
  "no-wait": {
    importer: "lib/sessions/redis_registry.ts",
    module: "lib/sessions/redis_store.ts",
    by: "tests/chaos/sabotage/no_wait.ts",
  },
  /** A process that has lost its lease keeps its sessions. */
  "no-fencing": {
    importer: "main_ws.ts",
    module: "lib/sessions/redis_registry.ts",
    by: "tests/chaos/sabotage/no_fencing.ts",
  },
};

export const SABOTAGE_KINDS: readonly string[] = Object.keys(SABOTAGES);

/** The command that starts a ws-server with the sabotage in it; undefined for the right one. */
export async function sabotagedCommand(kind: string | undefined): Promise<string[] | undefined> {
  if (kind === undefined) return undefined;
  const { importer, module, by } = SABOTAGES[kind]!;
  const { imports, permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const { env, run } = permissions["ws-server"];
  const scopes = { [href(importer)]: { [href(module)]: href(by) } };
  const map = `data:application/json,${encodeURIComponent(JSON.stringify({ imports, scopes }))}`;
  return [
    // Deno 2.9.6 panics over an import map beside a configuration with workspace members. Without the configuration
    // the lock file has to be named: else versions are resolved anew, by asking the registry.
    ...[Deno.execPath(), "run", "-q", "--no-prompt", "--no-config", `--import-map=${map}`],
    ...["--lock", new URL("deno.lock", ROOT).pathname, "--frozen"],
    ...["--allow-net", `--allow-env=${env}`, `--allow-run=${run}`],
    new URL("main_ws.ts", ROOT).pathname,
  ];
}

function href(path: string): string {
  return new URL(path, ROOT).href;
}
