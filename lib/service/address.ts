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
