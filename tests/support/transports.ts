/** The transports, for suites that hold them to one contract. */

import { type ProgramOptions, type Server, startServer, unlessOlderRuntime } from "./program.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";

export const TRANSPORTS: readonly TransportName[] = ["deno", "node"];

const WHY_NOT_NODE = "the base runtime cannot refuse an upgrade with node:http";

/** Those that processes of one cluster take turns with. */
export const IN_TURN: readonly TransportName[] = unlessOlderRuntime("", WHY_NOT_NODE).ignore
  ? ["deno"]
  : TRANSPORTS;

/** Names an end-to-end test of one transport, which some executables cannot pass; there it is left out, visibly. */
export function testOn(transport: TransportName, name: string): { name: string; ignore: boolean } {
  return transport === "node" ? unlessOlderRuntime(name, WHY_NOT_NODE) : { name, ignore: false };
}

/** What is so with each transport, where it is not the same. */
export type Each<T> = T | Record<TransportName, T>;

export function of<T extends string | number>(each: Each<T>, transport: TransportName): T {
  return typeof each === "object" ? each[transport] : each;
}

/** A `ws-server` with this transport and sessions in memory. */
export function startOn(
  transport: TransportName,
  args: string[] = [],
  options?: ProgramOptions,
): Promise<Server> {
  return startServer("ws-server", ["--redis", "off", "--transport", transport, ...args], options);
}
