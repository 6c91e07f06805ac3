/** The longest `client_id`, in bytes of UTF-8. */
export const MAX_CLIENT_ID_BYTES = 256;

/** Control characters and line separators: what could break a line of `/sessions` or a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/** What stands in for bytes that are no UTF-8. */
const REPLACEMENT = "\u{FFFD}";

/** A `client_id` that does not fit the rules; the message is for the client. */
export class ClientIdError extends Error {
  override readonly name = "ClientIdError";
}

/**
 * The `client_id` in the query of a URL.
 *
 * @param query What follows `?`.
 * @throws {ClientIdError} when it is missing, repeated, empty, too long, unprintable or not UTF-8.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(parseClientId("client_id=370f4521-e499-4e30"), "370f4521-e499-4e30");
 * assert.equal(parseClientId("client_id=two%20words"), "two words");
 * assert.throws(() => parseClientId("client=kim"), /client_id is missing/);
 * assert.throws(() => parseClientId("client_id=%0A"), /control characters/);
 * ```
 */
export function parseClientId(query: string): string {
  const values = new URLSearchParams(query).getAll("client_id");
  const clientId = values[0];
  if (clientId === undefined) throw new ClientIdError("client_id is missing: connect to /?client_id=<text>");
  if (values.length > 1) throw new ClientIdError("client_id is given more than once");
  if (clientId === "") throw new ClientIdError("client_id is empty");
  if (clientId.length > MAX_CLIENT_ID_BYTES || byteLength(clientId) > MAX_CLIENT_ID_BYTES) {
    throw new ClientIdError(`client_id is longer than ${MAX_CLIENT_ID_BYTES} bytes of UTF-8`);
  }
  if (UNPRINTABLE.test(clientId)) {
    throw new ClientIdError("client_id has control characters or line separators");
  }
  if (clientId.includes(REPLACEMENT)) {
    // Broken bytes all turn into this one character: two different clients would be taken for one.
    throw new ClientIdError("client_id is not UTF-8, or has the replacement character U+FFFD");
  }
  return clientId;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
