/** What a client would rather have (RFC 9110, sections 12.5.1 and 12.5.3). */

import type { Context } from "hono";
import { accepts } from "hono/accepts";
import type { IncomingRequest } from "../transport/transport.ts";

/** No more of such a header is looked at: one of 64 KiB, made for it, takes 50 ms, and those of browsers have some 150. */
const MAX_LENGTH = 1024;

/**
 * The best of what there is, by the weights that a client gives; what it weighs with 0 it does not want.
 *
 * @param there The first is what a client gets that names none of them, or has no preference.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const of = (accept: string) => preferred(new Headers({ accept }), "Accept", "text/plain", "application/json");
 * assert.equal(of("*" + "/*"), "text/plain");
 * assert.equal(of("text/html, Application/JSON;q=0.5"), "application/json");
 * assert.equal(of("text/plain, application/json;q=0.1"), "text/plain");
 * assert.equal(of("application/json;q=0"), "text/plain");
 * ```
 */
export function preferred<T extends string>(
  headers: IncomingRequest["headers"],
  name: "Accept" | "Accept-Encoding",
  ...there: [T, ...T[]]
): T {
  const request = { req: { header: (name: string) => headers.get(name)?.slice(0, MAX_LENGTH) } };
  return accepts(request as unknown as Context, { header: name, supports: there, default: there[0] }) as T;
}
