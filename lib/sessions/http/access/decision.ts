/** What is asked of access, and what it answers. */

/** What has to be known of a request. A `Request` is one, and whatever another transport makes of its own. */
export interface AccessRequest {
  readonly method: string;
  /** Absolute, or from the path on. */
  readonly url: string;
  readonly headers: RequestHeaders;
}

/** Headers by their names, in whatever case; one that was sent several times has its values joined by `, `. */
export interface RequestHeaders {
  get(name: string): string | null;
}

/** Why a request is refused, as `/metrics` counts it. */
export type RefusalReason = "bad-request" | "host" | "origin" | "token" | "identity" | "operator";

/** An answer in the place of what was asked for. */
export interface Refusal {
  readonly kind: "refused";
  readonly reason: RefusalReason;
  readonly status: 400 | 401 | 403 | 421;
  /** One line of plain text for whoever asked, without its end. */
  readonly line: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Who a client is. */
export interface Admission {
  readonly kind: "admitted";
  readonly clientId: string;
  /** When its session has to end at the latest, Unix ms. */
  readonly endsAtMs?: number;
  /** The subprotocol to answer with; a browser that offered some and gets none gives up. */
  readonly protocol?: "solo";
}

/** A refusal, for whoever makes the answer. */
export function refuse(
  reason: RefusalReason,
  status: Refusal["status"],
  line: string,
  headers: Record<string, string> = {},
): Refusal {
  return { kind: "refused", reason, status, line, headers };
}

/**
 * The query of a URL, without the question mark.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(queryOf("http://localhost:8880/?client_id=kim"), "client_id=kim");
 * assert.equal(queryOf("/?a=?"), "a=?");
 * assert.equal(queryOf("/"), "");
 * ```
 */
export function queryOf(url: string): string {
  const start = url.indexOf("?");
  return start < 0 ? "" : url.slice(start + 1);
}
