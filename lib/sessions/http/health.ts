/** What load balancers and supervisors ask. */

import { text } from "../transport/text.ts";
import { type ProcessState, RETRY_AFTER_S } from "./connect.ts";

/** `/healthz`: the process lives. */
export function healthz(): Response {
  return text(200, "alive");
}

/** `/readyz`: whether a new client would be served at once, and if not, why. */
export function readyz({ draining, registry, full }: ProcessState): Response {
  const why = draining
    ? "draining"
    : registry === "preceded"
    ? "processes of an older version are running: this one takes no clients until they have stopped"
    : registry !== "ready"
    ? `registry ${registry}`
    : full
    ? "full: as many connections as there may be"
    : undefined;
  return why === undefined ? text(200, "ready") : text(503, why, { "retry-after": RETRY_AFTER_S });
}
