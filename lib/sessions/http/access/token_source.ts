/** Where a client's token is looked for. */

import { type Refusal, refuse, type RequestHeaders } from "./decision.ts";

/** The subprotocol of this service, and what stands before a token that comes as another one beside it. */
const PROTOCOL = "solo";
const TOKEN_PROTOCOL = "solo.token.";

/**
 * The subprotocol to answer with: `solo` where it is offered. The one with the token is never repeated.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(protocolFor(new Headers({ "sec-websocket-protocol": "solo, solo.token.e30.e30.e30" })), "solo");
 * assert.equal(protocolFor(new Headers({ "sec-websocket-protocol": "chat" })), undefined);
 * ```
 */
export function protocolFor(headers: RequestHeaders): "solo" | undefined {
  return offeredProtocols(headers).includes(PROTOCOL) ? PROTOCOL : undefined;
}

/**
 * The token of a request: from `Authorization: Bearer`, from a subprotocol `solo.token.<jwt>` beside `solo` (the only
 * place besides the address in which a browser can put one), or from `?token=` (which ends up in logs of addresses).
 * Another scheme of `Authorization` is none of ours: a browser sends what it knows of the operator's password along.
 *
 * @returns nothing where there is none; a refusal where there are several, equal or not, since whoever checked one on the
 *   way here may have looked at another (RFC 6750, sections 2 and 3.1), or where a browser could not be answered.
 */
export function findToken(headers: RequestHeaders, query: URLSearchParams): string | Refusal | undefined {
  const tokens = query.getAll("token");
  const authorization = headers.get("authorization");
  if (authorization !== null && /^bearer(?: |$)/i.test(authorization)) {
    tokens.push(...authorization.slice("bearer".length).split(",").map((token) => token.trim()));
  }
  const protocols = offeredProtocols(headers);
  const inProtocol = protocols.filter((protocol) => protocol.startsWith(TOKEN_PROTOCOL));
  if (inProtocol.length > 0 && !protocols.includes(PROTOCOL)) {
    return refuse("bad-request", 400, "offer the subprotocol solo beside the one that holds the token");
  }
  for (const protocol of inProtocol) tokens.push(protocol.slice(TOKEN_PROTOCOL.length));
  if (tokens.length > 1) return refuse("bad-request", 400, "the token is given more than once");
  return tokens[0];
}

function offeredProtocols(headers: RequestHeaders): string[] {
  const offered = headers.get("sec-websocket-protocol");
  return offered === null ? [] : offered.split(",").map((protocol) => protocol.trim());
}
