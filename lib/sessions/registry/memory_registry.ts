import { closeFramesWritten } from "../transport/close_frame.ts";
import { MemoryEvents } from "../events/memory_events.ts";
import type { Candidate, RegistryState, SessionEntry, SessionRegistry } from "./registry.ts";

/** How many entries make one page of a listing. */
const PAGE_SIZE = 1000;

interface Holding {
  candidate: Candidate;
  epoch: number;
  established: boolean;
}

/** The registry of a single process: nothing to set up, gone with the process. */
export class MemoryRegistry implements SessionRegistry {
  readonly state: RegistryState = "ready";
  /** The name of this process in listings. */
  readonly node: string;
  readonly events: MemoryEvents = new MemoryEvents();
  readonly #holdings = new Map<string, Holding>();
  #epoch = 0;

  constructor(options: { node?: string } = {}) {
    this.node = options.node ?? crypto.randomUUID().slice(0, 8);
  }

  claim(candidate: Candidate): void {
    const older = this.#holdings.get(candidate.clientId);
    const holding: Holding = { candidate, epoch: ++this.#epoch, established: false };
    this.#holdings.set(candidate.clientId, holding);
    if (!older) {
      this.#establish(holding);
      return;
    }
    if (older.established) this.events.add("replaced", this.#entry(older));
    older.candidate.revoke({ kind: "replaced", bySessionId: candidate.sessionId, byNode: this.node });
    closeFramesWritten().then(() => {
      if (this.#holdings.get(candidate.clientId) === holding) this.#establish(holding);
    });
  }

  release(candidate: Candidate): void {
    const holding = this.#holdings.get(candidate.clientId);
    if (holding?.candidate !== candidate) return;
    this.#holdings.delete(candidate.clientId);
    if (holding.established) this.events.add("closed", this.#entry(holding));
  }

  async *list(): AsyncGenerator<SessionEntry[]> {
    let page: SessionEntry[] = [];
    for (const holding of this.#holdings.values()) {
      if (!holding.established) continue;
      page.push(this.#entry(holding));
      if (page.length < PAGE_SIZE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#holdings.clear();
    return Promise.resolve();
  }

  #establish(holding: Holding): void {
    holding.established = true;
    this.events.add("opened", this.#entry(holding));
    holding.candidate.establish();
  }

  #entry({ candidate: { clientId, sessionId, connectedAtMs }, epoch }: Holding): SessionEntry {
    return { clientId, sessionId, node: this.node, epoch, connectedAtMs };
  }
}
