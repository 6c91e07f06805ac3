/** What ended a program, in one sentence for its operator. The entry point prints it and exits with `exitCode`. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
  /** The exit code of the program. */
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/**
 * The text of anything that was thrown.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(messageOf(new TypeError("no such host")), "no such host");
 * assert.equal(messageOf("thrown text"), "thrown text");
 * ```
 */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * A text that may be printed, though addresses with passwords stand in it.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(withoutPasswords("no redis://solo:secret@a:6379"), "no redis://solo:***@a:6379");
 * assert.equal(withoutPasswords("redis+sentinel://a,b/m?sentinel_password=secret"), "redis+sentinel://a,b/m?sentinel_password=***");
 * assert.equal(withoutPasswords("redis:/solo:sec@ret/@a"), "redis:/solo:***@a");
 * assert.equal(withoutPasswords("redis://a:b?c@a is none: write @, / as %40, %2F"), "redis://a:***@a is none: write @, / as %40, %2F");
 * assert.equal(withoutPasswords("'redis://:it's \"se cret@a' is none"), "'redis://:***@a' is none");
 * ```
 */
export function withoutPasswords(text: string): string {
  return text
    .replace(/(:\/\/[^\s'":@/]*:)[^\n]*@(?=[\w[])/g, "$1***@") // up to the last host: a password may hold anything
    .replace(/(:\/?[^\s'":@/]*:)[^\s'"]*@/g, "$1***@")
    .replace(/(password=)[^\s'"&]*/g, "$1***");
}

/**
 * Turns a failure to listen into one line that says what to do about it.
 *
 * @param address Where the program tried to listen, as `host:port`.
 * @param flags Those that say where to listen.
 */
export function listenError(
  error: unknown,
  address: string,
  flags: { host: string; port: string } = { host: "--host", port: "--port" },
): ProgramError {
  return new ProgramError(`cannot listen on ${address}: ${listenAdvice(error, flags)}`, { cause: error });
}

function listenAdvice(error: unknown, { host, port }: { host: string; port: string }): string {
  const { code } = error as { code?: string }; // of node:net, which says EINVAL of an address that is not there
  if (error instanceof Deno.errors.AddrInUse || code === "EADDRINUSE") {
    return `the port is in use; stop the program that holds it, or choose another with ${port}`;
  }
  if (error instanceof Deno.errors.PermissionDenied || code === "EACCES") {
    return `not permitted; ports below 1024 need privileges, choose another with ${port}`;
  }
  if (error instanceof Deno.errors.AddrNotAvailable || code === "EADDRNOTAVAIL" || code === "EINVAL") {
    return `this machine has no such address; choose another with ${host}`;
  }
  const both = host === port ? host : `${host} and ${port}`;
  return `${messageOf(error)}; check ${both}`;
}
