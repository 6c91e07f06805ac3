/** The transports, for suites that hold them to one contract. */

import { type ProgramOptions, type Server, startServer } from "./program.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";

export const TRANSPORTS: readonly TransportName[] = ["deno", "node"];

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
