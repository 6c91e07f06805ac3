import { closeFramesWritten } from "./close_frame.ts";
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
      establish(holding);
      return;
    }
    older.candidate.revoke({ kind: "replaced", bySessionId: candidate.sessionId, byNode: this.node });
    closeFramesWritten().then(() => {
      if (this.#holdings.get(candidate.clientId) === holding) establish(holding);
    });
  }

  release(candidate: Candidate): void {
    if (this.#holdings.get(candidate.clientId)?.candidate === candidate) {
      this.#holdings.delete(candidate.clientId);
    }
  }

  async *list(): AsyncGenerator<SessionEntry[]> {
    let page: SessionEntry[] = [];
    for (const { candidate, epoch, established } of this.#holdings.values()) {
      if (!established) continue;
      const { clientId, sessionId, connectedAtMs } = candidate;
      page.push({ clientId, sessionId, node: this.node, epoch, connectedAtMs });
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
}

function establish(holding: Holding): void {
  holding.established = true;
  holding.candidate.establish();
}
