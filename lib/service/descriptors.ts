/** Where the system states the limits of this process. */
const LIMITS_FILE = "/proc/self/limits";

/** Assumed where the system does not say: the usual soft limit of a login shell. */
const USUAL_LIMIT = 1024;

/**
 * How many file descriptors this process may have open.
 *
 * @param limits The text of `/proc/self/limits`; read from there by default.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(maxOpenFiles("Max open files            20000                20000                files\n"), 20_000);
 * assert.equal(maxOpenFiles("Max open files            unlimited            unlimited            files\n"), Infinity);
 * assert.equal(maxOpenFiles(""), 1024);
 * ```
 */
export function maxOpenFiles(limits: string = readLimits()): number {
  const soft = limits.match(/^Max open files\s+(\S+)/m)?.[1];
  if (soft === "unlimited") return Infinity;
  return Number(soft) || USUAL_LIMIT;
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

function readLimits(): string {
  try {
    return Deno.readTextFileSync(LIMITS_FILE);
  } catch {
    return ""; // not Linux
  }
}
