/** The longest `client_id`, in bytes of UTF-8. */
export const MAX_CLIENT_ID_BYTES = 256;

/** Control characters and line separators: what could break a line of `/sessions` or a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/**
 * Characters that turn the direction of the text after them (Unicode's bidirectional embeddings, overrides and isolates):
 * with one of them an id shows as another. The marks U+200E, U+200F and U+061C turn nothing but themselves; they, the
 * joiners and other invisible ones have their use in names, and are escaped where logs show an id.
 */
const DECEPTIVE = /[\u202A-\u202E\u2066-\u2069]/;

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
 * @throws {ClientIdError} when it is missing, repeated, or breaks a rule of `checkClientId`.
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
  const clientId = findClientId(new URLSearchParams(query));
  if (clientId === undefined) throw new ClientIdError("client_id is missing: connect to /?client_id=<text>");
  return clientId;
}

/**
 * The `client_id` in a query where it may be left out.
 *
 * @throws {ClientIdError} when it is repeated, or breaks a rule of `checkClientId`.
 */
export function findClientId(query: URLSearchParams): string | undefined {
  const values = query.getAll("client_id");
  if (values.length > 1) throw new ClientIdError("client_id is given more than once");
  const clientId = values[0];
  if (clientId !== undefined) checkClientId(clientId);
  return clientId;
}

/**
 * Makes sure that a text may be a `client_id`, wherever it comes from.
 *
 * @throws {ClientIdError} when it is empty, too long, unprintable, deceptive or not UTF-8.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * checkClientId("Зоя 👩‍🚀");
 * assert.throws(() => checkClientId("k\u202Emi"), /direction/);
 * ```
 */
export function checkClientId(clientId: string): void {
  if (clientId === "") throw new ClientIdError("client_id is empty");
  if (clientId.length > MAX_CLIENT_ID_BYTES || byteLength(clientId) > MAX_CLIENT_ID_BYTES) {
    throw new ClientIdError(`client_id is longer than ${MAX_CLIENT_ID_BYTES} bytes of UTF-8`);
  }
  if (UNPRINTABLE.test(clientId)) {
    throw new ClientIdError("client_id has control characters or line separators");
  }
  if (DECEPTIVE.test(clientId)) {
    throw new ClientIdError("client_id has characters that change the direction of text");
  }
  if (clientId.includes(REPLACEMENT) || !clientId.isWellFormed()) {
    // Broken bytes all turn into this one character: two different clients would be taken for one.
    throw new ClientIdError("client_id is not UTF-8, or has the replacement character U+FFFD");
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
