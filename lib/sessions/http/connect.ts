/** Who may connect: everything that is decided before an upgrade. */

import { ClientIdError, parseClientId } from "../client_id.ts";
import type { RegistryState } from "../registry/registry.ts";
import { handshakeFault, VERSION } from "../transport/handshake.ts";
import { text } from "../transport/text.ts";
import type { IncomingRequest } from "../transport/transport.ts";

/** When a client that was refused may try again. */
export const RETRY_AFTER_S = "1";

/** Why a client was refused, as the metrics count it. */
export type RefusalReason = "bad-request" | "draining" | "full" | "no-lease";

/** What of a process matters to a client that wants to connect. */
export interface ProcessState {
  readonly draining: boolean;
  /** It has as many connections as it may have. */
  readonly full: boolean;
  readonly registry: RegistryState;
}

/** A client may connect as this. */
export interface Admission {
  readonly clientId: string;
}

/** A client may not connect. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly response: Response;
}

/** Decides whether a request to upgrade becomes a connection. Nothing has been promised to anyone before it, nor kept. */
export function admit(request: IncomingRequest, url: URL, state: ProcessState): Admission | Refusal {
  const fault = handshakeFault(request);
  if (fault !== undefined) return badRequest(fault);
  let clientId: string;
  try {
    clientId = parseClientId(url.search.slice(1));
  } catch (error) {
    if (!(error instanceof ClientIdError)) throw error;
    return badRequest(error.message);
  }
  if (state.draining) return unavailable("draining", "this process is being stopped");
  if (state.registry === "unleased") {
    return unavailable("no-lease", "this process cannot reach the session registry");
  }
  if (state.full) return unavailable("full", "this process has as many connections as it may have");
  return { clientId };
}

function badRequest(line: string): Refusal {
  return { reason: "bad-request", response: text(400, line, { "sec-websocket-version": VERSION }) };
}

function unavailable(reason: RefusalReason, line: string): Refusal {
  return { reason, response: text(503, line, { "retry-after": RETRY_AFTER_S }) };
}
