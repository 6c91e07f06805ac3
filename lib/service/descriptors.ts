/** Assumed where the system does not say: the usual soft limit of a login shell. */
const USUAL_LIMIT = 1024;

/**
 * How many file descriptors this process may have open. Deno has raised its soft limit to the hard one by itself.
 *
 * Asked of a child, which inherits the limit: Deno lets no one read `/proc/self` who is not allowed everything.
 *
 * @param answer What `getconf OPEN_MAX` prints; the program is run by default (permission `run: getconf`).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(maxOpenFiles("20000\n"), 20_000);
 * assert.equal(maxOpenFiles("undefined\n"), Infinity);
 * assert.equal(maxOpenFiles(""), 1024);
 * ```
 */
export function maxOpenFiles(answer: string = askSystem()): number {
  if (answer.trim() === "undefined") return Infinity; // what getconf says of "unlimited"
  return Number(answer) || USUAL_LIMIT;
}

/**
 * How many connections a server takes by default: the descriptor limit less a reserve for everything else that
 * opens files (listener, Redis, workers, scrapes, and the sockets that are just being refused).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(defaultMaxConnections(20_000), 19_000);
 * assert.equal(defaultMaxConnections(1024), 924);
 * assert.equal(defaultMaxConnections(64), 32);
 * ```
 */
export function defaultMaxConnections(limit: number = maxOpenFiles()): number {
  if (limit === Infinity) return 1_000_000;
  const reserve = Math.min(Math.max(100, Math.floor(limit / 20)), Math.floor(limit / 2));
  return limit - reserve;
}

function askSystem(): string {
  try {
    const { stdout } = new Deno.Command("getconf", { args: ["OPEN_MAX"], stdin: "null", stderr: "null" })
      .outputSync();
    return new TextDecoder().decode(stdout);
  } catch {
    return ""; // no such program, as in a container without a userland
  }
}
