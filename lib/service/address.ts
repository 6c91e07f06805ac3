import { isIP } from "node:net";

/**
 * An address as it stands in a URL.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(addressText("127.0.0.1", 8880), "127.0.0.1:8880");
 * assert.equal(addressText("::1", 8880), "[::1]:8880");
 * ```
 */
export function addressText(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Whether only this machine can reach a server that listens there.
 *
 * @param host A name or an address, as `--host` has it.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.ok(isLoopback("localhost") && isLoopback("127.0.0.2") && isLoopback("::1"));
 * assert.ok(!isLoopback("0.0.0.0") && !isLoopback("::") && !isLoopback("app.example"));
 * ```
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}
