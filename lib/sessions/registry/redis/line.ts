/** The line of a client as it stands in Redis, see lua/shared.lua. */

import type { SessionEntry } from "../../session_entry.ts";

/** One place in a line. */
export interface Holder extends SessionEntry {
  /** Whether it may be talking to its client. */
  established: boolean;
}

/**
 * The holders in the line of a client, the oldest first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const [old, fresh] = parseLine("kim", "s1 n1 7 1000 e|s2 n2 8 2000 w");
 * assert.deepEqual(old, { clientId: "kim", sessionId: "s1", node: "n1", epoch: 7, connectedAtMs: 1000, established: true });
 * assert.equal(fresh?.established, false);
 * ```
 */
export function parseLine(clientId: string, line: string): Holder[] {
  return line.split("|").map((holder) => {
    const [sessionId = "", node = "", epoch, connectedAt, state] = holder.split(" ");
    return {
      clientId,
      sessionId,
      node,
      epoch: Number(epoch),
      connectedAtMs: Number(connectedAt),
      established: state === "e",
    };
  });
}
