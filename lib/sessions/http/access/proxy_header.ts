/** Clients that a proxy in front has identified, and names in a header. */

import { BlockList, isIP } from "node:net";
import { checkClientId, ClientIdError } from "../../client_id.ts";
import { type Refusal, refuse, type RequestHeaders } from "./decision.ts";

/** A set of IP addresses: single ones and networks. */
export class AddressSet {
  readonly #list = new BlockList();

  /**
   * @param addresses Each an address, or a network such as `10.0.0.0/8` or `fd00::/8`.
   * @throws {RangeError} when one of them is neither.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * const set = new AddressSet(["127.0.0.1", "10.0.0.0/8"]);
   * assert.ok(set.has("10.1.2.3") && set.has("::ffff:127.0.0.1"));
   * assert.ok(!set.has("11.0.0.1") && !set.has("app.example"));
   * ```
   */
  constructor(addresses: Iterable<string>) {
    for (const text of addresses) {
      const [, address = "", prefix] = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
      const family = isIP(address);
      const bits = family === 4 ? 32 : 128;
      if (family === 0 || Number(prefix ?? bits) > bits) {
        throw new RangeError(`Cannot take ${text} as an address or a network such as 10.0.0.0/8`);
      }
      this.#list.addSubnet(address, Number(prefix ?? bits), family === 4 ? "ipv4" : "ipv6");
    }
  }

  /** Whether an address is one of these; an IPv4 address may be written as an IPv6 one, as dual-stack sockets do. */
  has(address: string): boolean {
    const [bare = ""] = address.split("%", 1); // the zone of a link-local address
    const family = isIP(bare);
    return family !== 0 && this.#list.check(bare, family === 4 ? "ipv4" : "ipv6");
  }
}

/** The header in which a proxy says who its client is. It is believed from trusted addresses, and nobody else served. */
export class ProxyHeader {
  readonly #name: string;
  readonly #trusted: AddressSet;

  /**
   * @param name Such as `X-Client-Id`. The proxy has to remove what its clients send under that name.
   * @param trusted The addresses that proxies connect from.
   */
  constructor(name: string, trusted: AddressSet) {
    this.#name = name;
    this.#trusted = trusted;
  }

  /** @returns the `client_id`. */
  identify(headers: RequestHeaders, remoteAddress: string): string | Refusal {
    if (!this.#trusted.has(remoteAddress)) {
      return refuse("identity", 403, "connect through the proxy of this service");
    }
    const value = headers.get(this.#name);
    if (value === null || value === "") return refuse("identity", 403, "the proxy has not said who you are");
    if (value.includes(",")) {
      // A proxy that adds its own to what a client has sent, in the place of replacing it: the two are joined by a comma.
      return refuse("bad-request", 400, `${this.#name} is given more than once, or has a comma`);
    }
    const clientId = utf8Of(value);
    if (clientId === undefined) return refuse("bad-request", 400, `${this.#name} is not UTF-8`);
    try {
      checkClientId(clientId);
    } catch (error) {
      if (!(error instanceof ClientIdError)) throw error;
      return refuse("bad-request", 400, `${this.#name}: ${error.message}`);
    }
    return clientId;
  }
}

/** Header values come as a character per byte; what a proxy put in was UTF-8. */
function utf8Of(value: string): string | undefined {
  const bytes = new Uint8Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0xff) return undefined;
    bytes[i] = code;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
