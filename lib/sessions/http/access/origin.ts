/** Which pages may use the service: those that come from it, and those that are named. */

import { type AccessRequest, type Refusal, refuse, type RequestHeaders } from "./decision.ts";
import { urlOfHost } from "./host.ts";

/** Scheme, host and perhaps a port, as RFC 6454, section 6.2, and the Fetch standard write an origin. */
const ORIGIN = /^[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@\\%]{1,300}$/i;

/**
 * An origin as it is compared.
 *
 * @returns nothing where it is none; `null`, which all pages without an origin send, is none.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(originOf("https://App.Example:443"), "https://app.example");
 * assert.equal(originOf("chrome-extension://abc"), "chrome-extension://abc");
 * assert.equal(originOf("https://app.example/"), undefined);
 * assert.equal(originOf("null"), undefined);
 * ```
 */
export function originOf(text: string): string | undefined {
  if (!ORIGIN.test(text)) return undefined;
  const url = URL.parse(text);
  return url?.host ? `${url.protocol}//${url.host}` : undefined;
}

/** What has to be known of a request to say which page it comes from. */
type PageRequest = Pick<AccessRequest, "method" | "headers">;

/**
 * Refuses what pages of other origins ask for.
 *
 * Browsers say where a page comes from: by `Origin` with every WebSocket and with every request whose answer a script
 * may read, else by `Sec-Fetch-Site` (Fetch Metadata), which they send to `https:` and to this machine. Whoever sends
 * neither is no browser and is served.
 */
export class OriginCheck {
  readonly #allowed: ReadonlySet<string>;
  readonly #all: boolean;

  /** @param allowed As `originOf` gives them; `*` stands for all. */
  constructor(allowed: Iterable<string>) {
    this.#allowed = new Set(allowed);
    this.#all = this.#allowed.has("*");
  }

  /** @returns nothing where the request may go on. */
  refuse(request: PageRequest): Refusal | undefined {
    if (this.#all) return undefined;
    const { headers } = request;
    const origin = headers.get("origin");
    if (origin === null) return refuseFetch(request);
    if (isOwn(origin, headers)) return undefined;
    const normal = originOf(origin);
    if (normal !== undefined && this.#allowed.has(normal)) return undefined;
    const advice = normal === undefined ? "" : `: --allow-origin ${normal} would allow them`;
    return refuse("origin", 403, `pages of another origin may not use this service${advice}`);
  }

  /**
   * The same for what operators do: origins that are allowed are so for clients to connect. A browser that knows the operators'
   * token sends it with whatever a page of theirs asks for.
   *
   * @returns nothing where the request may go on.
   */
  static refuseOthers(request: PageRequest): Refusal | undefined {
    const { headers } = request;
    const origin = headers.get("origin");
    if (origin === null) return refuseFetch(request);
    if (isOwn(origin, headers)) return undefined;
    return refuse("origin", 403, "pages of another origin may not operate on sessions");
  }
}

/** Whether a page comes from the service that it asks. */
function isOwn(origin: string, headers: RequestHeaders): boolean {
  const host = headers.get("host") ?? "";
  if (host !== "" && (origin === `http://${host}` || origin === `https://${host}`)) return true;
  const normal = originOf(origin);
  return normal !== undefined && isSameHost(normal, host);
}

/** What a page of another origin embeds, fetches unread or has a form post; that it leads to us with a link is no harm. */
function refuseFetch({ method, headers }: PageRequest): Refusal | undefined {
  const site = headers.get("sec-fetch-site");
  if (site === null || (site !== "cross-site" && site !== "same-site")) return undefined;
  const looks = method === "GET" || method === "HEAD";
  if (looks && headers.get("sec-fetch-mode") === "navigate") return undefined;
  return refuse("origin", 403, "pages of another origin may not use this service");
}

/**
 * Whether host and port are the same. The scheme says which port may be left out and nothing else: a proxy that takes
 * TLS off does not change `Host`.
 */
function isSameHost(origin: string, host: string): boolean {
  const url = new URL(origin);
  const scheme = url.protocol.slice(0, -1);
  if (scheme !== "http" && scheme !== "https") return false;
  return urlOfHost(host, scheme)?.host === url.host;
}
