import { type Clock, systemClock } from "../../service/clock.ts";
import type { SessionChange, SessionEntry } from "../session_entry.ts";
import { Blocks } from "./blocks.ts";
import {
  type Candidate,
  type Condition,
  type EndOptions,
  type EndResult,
  meets,
  type RegistryState,
  type RevokeReason,
  type SendResult,
  type SessionRegistry,
} from "./registry.ts";
import { RecentTakeovers } from "./recent_takeovers.ts";

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
  /** Kept when its end is evident, once it was told to go; it keeps its place until then. */
  end?: Promise<void>;
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
  readonly #blocks: Blocks;
  readonly #takeovers: RecentTakeovers;
  #epoch = 0;

  constructor(options: MemoryRegistryOptions = {}) {
    this.node = options.node ?? crypto.randomUUID().slice(0, 8);
    this.#onChange = options.onChange ?? (() => {});
    this.#blocks = new Blocks(options.clock ?? systemClock);
    this.#takeovers = new RecentTakeovers(options.takeoverLimit ?? 0, options.clock ?? systemClock);
  }

  claim(candidate: Candidate): void {
    if (this.blockedMs(candidate.clientId) > 0) return void candidate.revoke({ kind: "blocked" });
    const older = this.#newest.get(candidate.clientId);
    const refusal = older && this.#refusalOf(candidate);
    if (refusal) return void candidate.revoke(refusal);
    const holding: Holding = { candidate, epoch: ++this.#epoch, established: false, older };
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
      const oldest = oldestOf(newest);
      if (!oldest.established) continue;
      page.push(this.#entry(oldest));
      if (page.length < PAGE_SIZE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  find(clientId: string): Promise<SessionEntry | undefined> {
    const holding = this.#established(clientId);
    return Promise.resolve(holding && this.#entry(holding));
  }

  async end(clientId: string, { condition, blockMs }: EndOptions = {}): Promise<EndResult> {
    const established = this.#established(clientId);
    if (condition !== undefined) {
      if (!established) return { kind: "nobody" };
      if (!meets(condition, established.candidate.sessionId)) return { kind: "other" };
    }
    if (blockMs !== undefined && !this.#blocks.add(clientId, blockMs)) return { kind: "full" };
    const only = blockMs === undefined && Array.isArray(condition) ? established : undefined;
    const ends: Promise<void>[] = [];
    // those that wait first: none of them shall have its turn
    for (let holding = this.#newest.get(clientId); holding; holding = holding.older) {
      if (!only || holding === only) ends.push(this.#revoke(holding, { kind: "ended" }));
    }
    await Promise.all(ends);
    return { kind: ends.length > 0 ? "ended" : "nobody" };
  }

  async send(clientId: string, text: string, condition?: Condition): Promise<SendResult> {
    for (let holding = this.#established(clientId); holding; holding = this.#established(clientId)) {
      const { candidate, end } = holding;
      if (!meets(condition, candidate.sessionId)) return { kind: "other" };
      const delivery = end ? "closed" : await candidate.deliver(text);
      if (delivery === "sent") return { kind: "sent", sessionId: candidate.sessionId };
      if (delivery !== "closed") return { kind: delivery };
      if (!end) return { kind: "unsent" }; // its socket is closing, and will say so
      await end; // then it is the turn of another, or nobody's
    }
    return { kind: "nobody" };
  }

  blockedMs(clientId: string): number {
    return this.#blocks.leftMs(clientId);
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

  /** Tells a session to go, once. @returns a promise that is kept when it has left its line. */
  #revoke(holding: Holding, reason: RevokeReason): Promise<void> {
    const { candidate } = holding;
    return holding.end ??= candidate.revoke(reason).then(() => this.release(candidate));
  }

  #established(clientId: string): Holding | undefined {
    const newest = this.#newest.get(clientId);
    const oldest = newest && oldestOf(newest);
    return oldest?.established ? oldest : undefined;
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
    if (newest && !newest.older && !newest.end && !newest.established) this.#establish(newest);
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

function oldestOf(newest: Holding): Holding {
  let oldest = newest;
  while (oldest.older) oldest = oldest.older;
  return oldest;
}
