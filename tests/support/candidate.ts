import type { Delivery, SessionEntry } from "../../lib/sessions/session_entry.ts";
import {
  type Candidate,
  RegistryUnreachableError,
  type RevokeReason,
  type SessionRegistry,
} from "../../lib/sessions/registry/registry.ts";
import { until } from "./wait.ts";

/** A candidate that writes down what happens to it. */
export class TestCandidate implements Candidate {
  readonly sessionId = crypto.randomUUID();
  readonly connectedAtMs = Date.now();
  readonly events: string[] = [];
  reason: RevokeReason | undefined;
  /** What it was to send beside its session_id. */
  readonly texts: string[] = [];
  /** What becomes of them. */
  delivery: Delivery = "sent";
  /** Kept when its end may be evident. */
  evidence: Promise<void> = Promise.resolve();

  constructor(
    readonly clientId: string,
    readonly journal: string[] = [],
    readonly takesOver: boolean = true,
  ) {}

  get state(): string {
    return this.events.at(-1) ?? "waiting";
  }

  establish(): void {
    this.#note("established");
  }

  revoke(reason: RevokeReason): Promise<void> {
    this.reason = reason;
    this.#note("revoked");
    return this.evidence;
  }

  deliver(text: string): Promise<Delivery> {
    this.texts.push(text);
    return Promise.resolve(this.delivery);
  }

  cut(): void {
    this.#note("cut");
  }

  async reaches(state: string): Promise<void> {
    await until(
      () => this.state === state,
      () => `the candidate is ${state}, it is ${this.state} ${this.reason?.kind ?? ""}`,
    );
  }

  #note(event: string): void {
    this.events.push(event);
    this.journal.push(`${this.sessionId} ${event}`);
  }
}

/** All sessions; asked for again where a busy machine, or a primary that is just being left, keeps Redis from answering. */
export async function listed(registry: SessionRegistry): Promise<SessionEntry[]> {
  let entries: SessionEntry[] | undefined;
  let error: unknown;
  await until(
    async () => {
      try {
        entries = (await Array.fromAsync(registry.list())).flat();
      } catch (failure) {
        if (!(failure instanceof RegistryUnreachableError)) throw failure;
        error = failure;
      }
      return entries !== undefined;
    },
    () => `all sessions are listed: ${error}`,
  );
  return entries!;
}

/** As `listed`, and of each only its id. */
export async function sessionIds(registry: SessionRegistry): Promise<string[]> {
  return (await listed(registry)).map(({ sessionId }) => sessionId);
}
