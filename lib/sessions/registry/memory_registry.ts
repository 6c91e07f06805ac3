import { type Clock, systemClock } from "../../service/clock.ts";
import type { SessionChange, SessionEntry } from "../session_entry.ts";
import { RecentTakeovers } from "./recent_takeovers.ts";
import type { Candidate, RegistryState, RevokeReason, SessionRegistry } from "./registry.ts";

/** How many entries make one page of a listing. */
const PAGE_SIZE = 1000;

export interface MemoryRegistryOptions {
  /** The name of this process in listings. @default a random one */
  node?: string;
  /** How many takeovers of one client a minute has room for. @default any number */
  takeoverLimit?: number;
  /** @default systemClock */
  clock?: Clock;
  /** Hears what becomes of every session, in order. */
  onChange?: (change: SessionChange, session: SessionEntry) => void;
}

/** One place in the line of a client. */
interface Holding {
  readonly candidate: Candidate;
  readonly epoch: number;
  established: boolean;
  /** Told to go; it keeps its place until its end is evident. */
  ending: boolean;
  older?: Holding;
  newer?: Holding;
}

/** The registry of a single process: nothing to set up, gone with the process. */
export class MemoryRegistry implements SessionRegistry {
  readonly state: RegistryState = "ready";
  /** The name of this process in listings. */
  readonly node: string;
  readonly #onChange: (change: SessionChange, session: SessionEntry) => void;
  /** The newest of each line. */
  readonly #newest = new Map<string, Holding>();
  readonly #takeovers: RecentTakeovers;
  #epoch = 0;

  constructor(options: MemoryRegistryOptions = {}) {
    this.node = options.node ?? crypto.randomUUID().slice(0, 8);
    this.#onChange = options.onChange ?? (() => {});
    this.#takeovers = new RecentTakeovers(options.takeoverLimit ?? 0, options.clock ?? systemClock);
  }

  claim(candidate: Candidate): void {
    const older = this.#newest.get(candidate.clientId);
    const refusal = older && this.#refusalOf(candidate);
    if (refusal) return void candidate.revoke(refusal);
    const holding: Holding = { candidate, epoch: ++this.#epoch, established: false, ending: false, older };
    this.#newest.set(candidate.clientId, holding);
    if (!older) return this.#establish(holding);
    older.newer = holding;
    this.#revoke(older, { kind: "replaced", bySessionId: candidate.sessionId, byNode: this.node });
  }

  release(candidate: Candidate): void {
    for (let holding = this.#newest.get(candidate.clientId); holding; holding = holding.older) {
      if (holding.candidate === candidate) return this.#leave(holding);
    }
  }

  async *list(): AsyncGenerator<SessionEntry[]> {
    let page: SessionEntry[] = [];
    for (const newest of this.#newest.values()) {
      let oldest = newest;
      while (oldest.older) oldest = oldest.older;
      if (!oldest.established) continue;
      page.push(this.#entry(oldest));
      if (page.length < PAGE_SIZE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#newest.clear();
    return Promise.resolve();
  }

  /** Why a candidate may not take over, where it may not. */
  #refusalOf({ clientId, takesOver }: Candidate): RevokeReason | undefined {
    if (!takesOver) return { kind: "occupied" };
    const room = this.#takeovers.take(clientId);
    return room === "taken" ? undefined : { kind: "crowded", first: room === "none-first" };
  }

  async #revoke(holding: Holding, reason: RevokeReason): Promise<void> {
    if (holding.ending) return;
    holding.ending = true;
    await holding.candidate.revoke(reason);
    this.release(holding.candidate);
  }

  /** Takes a session whose end is evident out of its line; whoever is then alone there is established. */
  #leave(holding: Holding): void {
    const { older, newer, candidate: { clientId } } = holding;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else if (older) this.#newest.set(clientId, older);
    else this.#newest.delete(clientId);
    if (holding.established) this.#onChange(newer ? "replaced" : "closed", this.#entry(holding));
    const newest = this.#newest.get(clientId);
    if (newest && !newest.older && !newest.ending && !newest.established) this.#establish(newest);
  }

  #establish(holding: Holding): void {
    holding.established = true;
    this.#onChange("opened", this.#entry(holding));
    holding.candidate.establish();
  }

  #entry({ candidate: { clientId, sessionId, connectedAtMs }, epoch }: Holding): SessionEntry {
    return { clientId, sessionId, node: this.node, epoch, connectedAtMs };
  }
}
