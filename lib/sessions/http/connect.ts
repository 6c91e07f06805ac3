/** Who may connect: everything that is decided before an upgrade. */

import type { RegistryState } from "../registry/registry.ts";
import { handshakeFault, VERSION } from "../transport/handshake.ts";
import { text } from "../transport/text.ts";
import { accept, type ConnectionListener, type IncomingRequest } from "../transport/transport.ts";
import type { RequestInfo, Upgrade } from "../transport/transport.ts";
import { queryOf } from "./access/decision.ts";
import { TAKEOVER_FAULT, takesOver } from "./takeover.ts";
import type { Access, Admission, Refusal, RefusalReason as AccessRefusalReason } from "./access/access.ts";

/** When a client that was refused may try again. */
export const RETRY_AFTER_S = "1";

/** Why a request was refused, as the metrics count it. */
export type RefusalReason = AccessRefusalReason | "draining" | "full" | "no-lease" | "preceded" | "blocked";

/** What of a process matters to a client that wants to connect. */
export interface ProcessState {
  readonly draining: boolean;
  /** It has as many connections as it may have. */
  readonly full: boolean;
  readonly registry: RegistryState;
}

export interface EntranceOptions {
  access: Access;
  /** The state of the process now. */
  state: () => ProcessState;
  /** For how long a client is not let in, as far as is known, ms. */
  blockedMs: (clientId: string) => number;
  /** A client is about to connect. */
  connect: (admission: Admission, takesOver: boolean) => ConnectionListener;
  onRefused: (reason: RefusalReason) => void;
}

/**
 * Decides whether a request to upgrade becomes a connection. Nothing has been promised to anyone before it, nor kept.
 *
 * What costs nothing is asked first: a process that takes nobody looks at no token.
 */
export class Entrance {
  readonly #options: EntranceOptions;
  #undecided = 0;

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /** Requests whose token is being checked. Each has a descriptor, and may become a connection. */
  get undecided(): number {
    return this.#undecided;
  }

  /** Answers a request to upgrade; at once where there are no tokens to be checked. */
  answer(request: IncomingRequest, info: RequestInfo): Response | Upgrade | Promise<Response | Upgrade> {
    const fault = handshakeFault(request);
    if (fault !== undefined) {
      return this.#turnAway("bad-request", text(400, fault, { "sec-websocket-version": VERSION }));
    }
    const takeover = takesOver(queryOf(request.url));
    if (takeover === undefined) return this.#turnAway("bad-request", text(400, TAKEOVER_FAULT));
    const closed = this.#closed();
    if (closed) return closed;
    const decision = this.#options.access.admit(request, info);
    return decision instanceof Promise ? this.#later(decision, takeover) : this.#enter(decision, takeover);
  }

  async #later(decision: Promise<Admission | Refusal>, takeover: boolean): Promise<Response | Upgrade> {
    let decided: Admission | Refusal;
    this.#undecided++;
    try {
      decided = await decision;
    } finally {
      this.#undecided--;
    }
    if (decided.kind === "refused") return this.#enter(decided, takeover);
    return this.#closed() ?? this.#enter(decided, takeover); // much may have happened meanwhile
  }

  #enter(decided: Admission | Refusal, takeover: boolean): Response | Upgrade {
    if (decided.kind === "refused") return this.#turnAway(decided.reason, refusalResponse(decided));
    const blockedMs = this.#options.blockedMs(decided.clientId);
    if (blockedMs > 0) {
      const headers = { "retry-after": String(Math.ceil(blockedMs / 1000)) };
      return this.#turnAway(
        "blocked",
        text(403, "the operator has blocked this client for a while", headers),
      );
    }
    return accept(this.#options.connect(decided, takeover), decided);
  }

  /** The answer to everyone while nobody is let in. */
  #closed(): Response | undefined {
    const { draining, registry, full } = this.#options.state();
    if (draining) return this.#unavailable("draining", "this process is being stopped");
    if (registry === "unleased") {
      return this.#unavailable("no-lease", "this process cannot reach the session registry");
    }
    if (registry === "preceded") {
      return this.#unavailable(
        "preceded",
        "this process takes no clients until those of an older version have stopped",
      );
    }
    if (full) return this.#unavailable("full", "this process has as many connections as it may have");
    return undefined;
  }

  #unavailable(reason: RefusalReason, line: string): Response {
    return this.#turnAway(reason, text(503, line, { "retry-after": RETRY_AFTER_S }));
  }

  #turnAway(reason: RefusalReason, response: Response): Response {
    this.#options.onRefused(reason);
    return response;
  }
}

/** The answer that a refusal of `Access` stands for. */
export function refusalResponse({ status, line, headers }: Refusal): Response {
  return text(status, line, headers);
}
