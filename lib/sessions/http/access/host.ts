/** By which names the service may be called: a page whose name was made to lead here (DNS rebinding) has another one. */

import { isIP } from "node:net";
import { type Refusal, refuse } from "./decision.ts";

/** The longest name that there can be (RFC 1035, section 2.3.4), and a port. */
const MAX_HOST_LENGTH = 253 + ":65535".length;

/** A host and perhaps a port as RFC 9110, section 7.2, has them, less what no resolver knows: no percent, no list. */
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{0,5})?$/i;

/**
 * A `Host` header as a URL of that host, or nothing where it is none.
 *
 * @param scheme Decides which port may be left out.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(urlOfHost("App.Example:443", "https")?.host, "app.example");
 * assert.equal(urlOfHost("app.example:443", "http")?.host, "app.example:443");
 * assert.equal(urlOfHost("kim@app.example", "http"), undefined);
 * ```
 */
export function urlOfHost(host: string, scheme: "http" | "https"): URL | undefined {
  // the pattern first: the parser forgives much, it removes tabs and decodes what is percent-encoded
  if (host.length > MAX_HOST_LENGTH || !HOST.test(host)) return undefined;
  return URL.parse(`${scheme}://${host}`) ?? undefined;
}

/**
 * A name as it is compared: lower case, ASCII (an international one in its `xn--` form), no dot at the end.
 *
 * @param text A name of `--allow-host`.
 * @returns nothing where it is no name, or has a port.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(hostNameOf("App.Example."), "app.example");
 * assert.equal(hostNameOf("bücher.example"), "xn--bcher-kva.example");
 * assert.equal(hostNameOf("app.example:8880"), undefined);
 * ```
 */
export function hostNameOf(text: string): string | undefined {
  if (text === "" || /[\s:/?#@\\%*,]/.test(text)) return undefined;
  const url = URL.parse(`http://${text}`);
  return url && HOST.test(url.hostname) ? withoutDot(url.hostname) : undefined;
}

/** Refuses requests for a name that is not on the list. */
export class HostCheck {
  readonly #names: ReadonlySet<string>;
  /** What was found good last, and will be sent again by nearly everybody. */
  #good = "";

  /** @param names As `hostNameOf` gives them. IP addresses and `localhost` are always served beside them. */
  constructor(names: Iterable<string>) {
    this.#names = new Set(["localhost", ...names]);
  }

  /**
   * @param host The `Host` header. Without one it is no browser, which alone can be led astray: HTTP/1.0, a probe.
   * @returns nothing where the request may go on.
   */
  refuse(host: string | null): Refusal | undefined {
    if (host === null || host === "" || host === this.#good) return undefined;
    const url = urlOfHost(host, "http");
    if (!url) return refuse("bad-request", 400, "the Host header is not a host name");
    const name = withoutDot(url.hostname);
    if (!isAddress(name) && !this.#names.has(name)) {
      return refuse(
        "host",
        421,
        `this server is not known as ${name}: --allow-host ${name} would make it so`,
      );
    }
    this.#good = host;
    return undefined;
  }
}

/** Whether a host name of a URL is an address; the parser has brought every way to write one into these two forms. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || isIP(name) === 4;
}

function withoutDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
