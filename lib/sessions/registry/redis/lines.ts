import { getLogger } from "../../../service/log.ts";
import type { Clock, Timer } from "../../../service/clock.ts";
import type { Delivery } from "../../session_entry.ts";
import type { Candidate, RevokeReason } from "../registry.ts";
import type { Endable } from "./fence.ts";
import type { Terms } from "./lease.ts";
import type { RegistryObserver } from "./observer.ts";
import type { NodeMessage } from "./messages.ts";
import type { ClaimReply, RedisStore, ReleaseMode } from "./redis_store.ts";

const log = getLogger(["solo", "registry"]);

/** A claim that waits asks again this often, and so repeats its request to the older ones to go. */
const REPEAT_MS = 200;

/** A message about one session. */
export type SessionMessage = NodeMessage & { kind: "evict" | "turn" | "end" };

/** One place in the line of a client. */
export interface Holding {
  readonly candidate: Candidate;
  readonly claimedAtMs: number;
  /** Whether Redis was ever asked for it. */
  asked: boolean;
  /** Whether Redis could not be asked at once. */
  late: boolean;
  epoch: string;
  established: boolean;
  /** Kept when its end is evident, once it was told to go; it is held until then. */
  end: Promise<void> | undefined;
  /** Whether it had to wait for an older session. */
  waited: boolean;
  repeat: Timer | undefined;
}

/** What the lines need to know of the lease. */
export interface LinesLease {
  readonly node: string;
  readonly terms: Terms | undefined;
  holds(): boolean;
  hurry(): void;
}

/**
 * The places of this process's sessions in the lines of their clients: takes them, waits for its turn, makes room for
 * who is newer, and gives them back when a session has ended.
 */
export class Lines {
  readonly #store: RedisStore;
  readonly #clock: Clock;
  readonly #lease: LinesLease;
  readonly #observe: () => RegistryObserver | undefined;
  readonly #onBlocked: (clientId: string, ms: number) => void;
  /** By session_id. */
  readonly #holdings = new Map<string, Holding>();
  /** Sessions that have ended while Redis could not be told. */
  readonly #unreleased = new Map<string, string>();

  constructor(
    options: {
      store: RedisStore;
      clock: Clock;
      lease: LinesLease;
      observe: () => RegistryObserver | undefined;
      /** Redis says that a client is blocked, for so long yet. */
      onBlocked: (clientId: string, ms: number) => void;
    },
  ) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#lease = options.lease;
    this.#observe = options.observe;
    this.#onBlocked = options.onBlocked;
  }

  /** How many sessions are held. */
  get size(): number {
    return this.#holdings.size;
  }

  /** All that are held, in the order in which they came. */
  holdings(): IterableIterator<Holding> {
    return this.#holdings.values();
  }

  /** Whether a session is held under this id. */
  has(sessionId: string): boolean {
    return this.#holdings.has(sessionId);
  }

  /** Puts a candidate at the end of the line of its client. */
  claim(candidate: Candidate): void {
    const holding: Holding = {
      candidate,
      claimedAtMs: this.#clock.nowMs(),
      asked: false,
      late: false,
      epoch: "",
      established: false,
      end: undefined,
      waited: false,
      repeat: undefined,
    };
    this.#holdings.set(candidate.sessionId, holding);
    this.ask(holding);
  }

  /** Takes a candidate whose socket has ended out of its line. */
  release(candidate: Candidate): void {
    const holding = this.#holdings.get(candidate.sessionId);
    if (holding?.candidate !== candidate) return;
    stopRepeating(holding);
    this.#holdings.delete(candidate.sessionId);
    this.#tell(candidate.clientId, candidate.sessionId, holding.established ? "held" : "ended");
  }

  /**
   * Asks for a place, or about the one it has, and does what the answer says.
   *
   * @returns whether the place is known to Redis now.
   */
  async ask(holding: Holding): Promise<boolean> {
    stopRepeating(holding);
    const reply = await this.#requestPlace(holding);
    if (!this.#holds(holding)) {
      // it has ended meanwhile; whatever has become of that message, it shall not leave a place behind
      if (reply?.answer === "established" || reply?.answer === "wait") this.#tellEnd(holding.candidate);
      return true;
    }
    if (reply?.epoch) holding.epoch = reply.epoch;
    const known = reply !== undefined && reply.answer !== "lapsed" && reply.answer !== "late";
    if (holding.end) return known;
    switch (reply?.answer) {
      case "established":
        this.#establish(holding);
        return true;
      case "replaced": {
        const { newestSessionId: bySessionId, newestNode: byNode } = reply;
        this.#revoke(holding, { kind: "replaced", bySessionId, byNode });
        return true;
      }
      case "blocked":
        this.#onBlocked(holding.candidate.clientId, reply.blockedMs!);
        this.#revoke(holding, { kind: "blocked" });
        return true;
      case "occupied":
        this.#refuse(holding, { kind: "occupied" });
        return true;
      case "crowded":
      case "crowded-first":
        this.#refuse(holding, { kind: "crowded", first: reply.answer === "crowded-first" });
        return true;
      case "lapsed":
        this.#lease.hurry();
        break;
      case "wait":
        if (holding.waited) this.#observe()?.onEvictionRepeated?.();
        holding.waited = true;
    }
    this.#repeat(holding);
    return known;
  }

  onMessage(message: SessionMessage): void {
    const holding = this.#holdings.get(message.sessionId);
    if (message.kind === "turn") {
      if (holding) this.#establish(holding);
      return; // one that is no longer held has been released, or will be, behind its claim
    }
    const { clientId, sessionId } = message;
    if (!holding) {
      this.#tell(clientId, sessionId, "ended"); // an entry without a socket: a release that is under way, or was lost
      return;
    }
    if (holding.end) return; // whoever asks again is answered when it has ended
    if (message.kind === "end") {
      this.#revoke(holding, { kind: "ended" });
      return;
    }
    const { bySessionId, byNode } = message;
    this.#observe()?.onTakeover?.(byNode === this.#lease.node ? "local" : "remote");
    this.#revoke(holding, { kind: "replaced", bySessionId, byNode });
  }

  /** Sends a text on a session that is established and was not told to go. */
  deliver(sessionId: string, text: string): Promise<Delivery> {
    const holding = this.#holdings.get(sessionId);
    if (!holding?.established || holding.end || !this.#lease.holds()) return Promise.resolve("closed");
    return holding.candidate.deliver(text);
  }

  /** Tells Redis again of all ends that it may not have heard of. */
  tellEnds(): void {
    // not as `held`: what was true when it ended need not be so now, in data that was rolled back
    for (const [sessionId, clientId] of this.#unreleased) this.#tell(clientId, sessionId, "ended");
  }

  /** All sessions, to be ended with the lease. They are not ours any more: Redis is told nothing of their ends. */
  takeAll(): Endable[] {
    const holdings = [...this.#holdings.values()];
    this.#holdings.clear();
    this.#unreleased.clear();
    for (const holding of holdings) stopRepeating(holding);
    return holdings.map((holding) => ({
      ask: () => this.#end(holding, { kind: "lease-lost" }),
      cut: () => holding.candidate.cut(),
    }));
  }

  /** Cuts all sessions and takes them out of their lines, as far as Redis can be told. */
  async leave(): Promise<void> {
    const candidates = [...this.#holdings.values()].map(({ candidate }) => candidate);
    for (const candidate of candidates) {
      candidate.cut();
      this.release(candidate);
    }
    const ends = [...this.#unreleased].map(([sessionId, clientId]) =>
      this.#tell(clientId, sessionId, "ended")
    );
    await Promise.all(ends);
  }

  #repeat(holding: Holding): void {
    stopRepeating(holding); // two questions may have been on their way
    holding.repeat = this.#clock.after(REPEAT_MS, () => {
      if (this.#lease.holds()) this.ask(holding);
    });
  }

  /** `undefined` where Redis cannot be asked or does not answer; it may have taken effect, which does no harm. */
  async #requestPlace(holding: Holding): Promise<ClaimReply | undefined> {
    const { terms } = this.#lease;
    if (!terms) {
      holding.late = true;
      return undefined;
    }
    const { candidate: { clientId, sessionId, connectedAtMs, takesOver }, epoch, established } = holding;
    const ageMs = holding.asked || holding.late ? this.#clock.nowMs() - holding.claimedAtMs : undefined;
    holding.asked = true;
    try {
      return await this.#store.claim({
        clientId,
        sessionId,
        connectedAtMs,
        takesOver,
        epoch,
        established,
        ageMs,
        ...terms,
      });
    } catch {
      return undefined;
    }
  }

  #establish(holding: Holding): void {
    if (holding.established || holding.end || !this.#lease.holds() || !this.#holds(holding)) return;
    stopRepeating(holding);
    holding.established = true;
    if (holding.waited) this.#observe()?.onTakeoverDone?.(this.#clock.nowMs() - holding.claimedAtMs);
    holding.candidate.establish();
  }

  /** Ends a session, and when its end is evident confirms that to whoever waits for it; until then it is held. */
  async #revoke(holding: Holding, reason: RevokeReason): Promise<void> {
    stopRepeating(holding);
    await this.#end(holding, reason);
    this.release(holding.candidate);
  }

  /** Ends one that gets no place: there is none to be held until its end is evident. */
  #refuse(holding: Holding, reason: RevokeReason): void {
    this.release(holding.candidate); // another question of it may be on its way, and take one
    this.#end(holding, reason);
  }

  /** Tells a session to go, once. One that fails to is cut: nobody else should have to wait for it. */
  #end(holding: Holding, reason: RevokeReason): Promise<void> {
    const { candidate } = holding;
    const cut = (error: unknown) => {
      log.error("session {session} did not end: {error}; cutting it", {
        session: candidate.sessionId,
        error,
      });
      candidate.cut();
    };
    if (!holding.end) {
      try {
        holding.end = candidate.revoke(reason).catch(cut);
      } catch (error) {
        cut(error);
        holding.end = Promise.resolve();
      }
    }
    return holding.end;
  }

  #tellEnd({ clientId, sessionId }: Candidate): Promise<void> {
    return this.#tell(clientId, sessionId, "ended");
  }

  /** Tells Redis that a session has ended; what cannot be told now is told after the reconnection. */
  async #tell(clientId: string, sessionId: string, mode: ReleaseMode): Promise<void> {
    this.#unreleased.set(sessionId, clientId);
    try {
      await this.#store.release(clientId, sessionId, mode);
      this.#unreleased.delete(sessionId);
    } catch {
      // told again by tellEnds
    }
  }

  #holds(holding: Holding): boolean {
    return this.#holdings.get(holding.candidate.sessionId) === holding;
  }
}

function stopRepeating(holding: Holding): void {
  holding.repeat?.[Symbol.dispose]();
  holding.repeat = undefined;
}
