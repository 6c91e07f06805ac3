/** The opening handshake of RFC 6455, section 4.2, as far as it is the same for every server. */

import { createHash } from "node:crypto";
import type { IncomingRequest } from "./transport.ts";

/** The only version of the protocol there is. */
export const VERSION = "13";

/** Whether a request wants to become a WebSocket. */
export function wantsUpgrade({ headers }: IncomingRequest): boolean {
  return isWebSocket(headers.get("upgrade"));
}

/** Whether an `Upgrade` header asks for a WebSocket, and not for something that nobody here speaks. */
export function isWebSocket(upgrade: string | null | undefined): boolean {
  return upgrade?.toLowerCase() === "websocket";
}

/**
 * What is wrong with a request for an upgrade, as a line for its sender; `undefined` where nothing is.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const headers = new Headers({ host: "a", connection: "Upgrade", "sec-websocket-version": "13" });
 * assert.match(handshakeFault({ method: "GET", url: "http://a/", headers })!, /Sec-WebSocket-Key/);
 * headers.set("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
 * assert.equal(handshakeFault({ method: "GET", url: "http://a/", headers }), undefined);
 * ```
 */
export function handshakeFault({ headers }: IncomingRequest): string | undefined {
  if (!headers.has("host")) return "the Host header is missing";
  if (!/(^|,)\s*upgrade\s*(,|$)/i.test(headers.get("connection") ?? "")) {
    return "the Connection header does not say Upgrade";
  }
  if (headers.get("sec-websocket-version")?.trim() !== VERSION) {
    return `the Sec-WebSocket-Version header is not ${VERSION}`;
  }
  // 16 bytes in base64
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers.get("sec-websocket-key")?.trim() ?? "")) {
    return "the Sec-WebSocket-Key header is missing, or is not 16 bytes in base64";
  }
  return undefined;
}

/**
 * The proof that a server has understood the handshake (section 4.2.2).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // the RFC's own
 * ```
 */
export function acceptKey(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}
