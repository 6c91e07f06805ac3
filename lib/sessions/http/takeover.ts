/** What a client says of a takeover when it connects. */

/** What stands in the answer to one that says nonsense. */
export const TAKEOVER_FAULT = 'takeover is "no" or "yes", and given once';

/**
 * Whether a newcomer replaces who has its `client_id`, by the query of its URL: unless it says `takeover=no`.
 *
 * @param query What follows `?`.
 * @returns nothing where the query makes no sense, see `TAKEOVER_FAULT`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(takesOver("client_id=kim"), true);
 * assert.equal(takesOver("client_id=kim&takeover=no"), false);
 * assert.equal(takesOver("takeover=false"), undefined);
 * assert.equal(takesOver("takeover=no&takeover=no"), undefined);
 * ```
 */
export function takesOver(query: string): boolean | undefined {
  const [value = "yes", ...more] = new URLSearchParams(query).getAll("takeover");
  if (more.length > 0 || (value !== "yes" && value !== "no")) return undefined;
  return value === "yes";
}
