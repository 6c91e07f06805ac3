import { isLoopback } from "../../service/address.ts";
import { DenoTransport } from "./deno_serve.ts";
import { NodeTransport } from "./node_http.ts";
import type { Transport, TransportName, TransportOptions } from "./transport.ts";

/**
 * Starts the transport of a name.
 *
 * @throws {ProgramError} when it cannot listen there.
 */
export function listen(name: TransportName, options: TransportOptions): Promise<Transport> {
  return name === "deno" ? DenoTransport.listen(options) : NodeTransport.listen(options);
}

/**
 * The transport for addresses where none was asked for: `deno` where only this machine can connect, `node` where others
 * can, since the first has holes that cannot be closed; docs/sessions-protocol.md names them.
 *
 * @param hostnames All that a server listens on: operators' addresses serve clients, too.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(transportFor("localhost"), "deno");
 * assert.equal(transportFor("127.0.0.1"), "deno");
 * assert.equal(transportFor("::1"), "deno");
 * assert.equal(transportFor("0.0.0.0"), "node");
 * assert.equal(transportFor("solo.example"), "node");
 * assert.equal(transportFor("localhost", "0.0.0.0"), "node");
 * ```
 */
export function transportFor(...hostnames: string[]): TransportName {
  return hostnames.every(isLoopback) ? "deno" : "node";
}
