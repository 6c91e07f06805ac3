import { getLogger } from "../../../service/log.ts";
import type { Holding, Lines } from "./lines.ts";
import type { Memory } from "./memory.ts";
import type { HeldLease } from "./redis_store.ts";

const log = getLogger(["solo", "registry"]);

/** Every session is compared with Redis once in this time, though no loss of a message is known. */
const RECONCILE_PERIOD_MS = 300_000;

/** How many sessions are announced at once. */
const BATCH = 500;

export interface AnnouncerOptions {
  lines: Lines;
  memory: Memory;
  renewEveryMs: number;
  /** Redis had lost data, and has heard of all our sessions again. */
  onRestored(): void;
}

/** Keeps Redis true: tells it of all sessions where it may have lost some, or we its messages, and compares some now and then. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  #announcing = false;
  /** Whether messages were missed, or an announcement was not finished. */
  #pending = false;
  #reconcile: Iterator<Holding> | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** @param missed Whether messages may have been missed since the last time. */
  onRenewed({ generation }: HeldLease, missed: boolean): void {
    this.#pending ||= missed;
    if (this.#pending || generation !== this.#options.memory.generation) this.#announce(generation);
    else this.#reconcileSome();
  }

  /** Asks about every session: the answers put back what was lost and end what was replaced meanwhile. */
  async #announce(generation: string): Promise<void> {
    if (this.#announcing) return;
    this.#announcing = true;
    this.#pending = false;
    const { lines, memory } = this.#options;
    const lost = memory.generation !== "" && generation !== memory.generation;
    if (lost) log.warn("Redis may have lost data: announcing {count} sessions", { count: lines.size });
    lines.tellEnds();
    // one that Redis was never asked for asks by itself
    const holdings = [...lines.holdings()].filter(({ asked }) => asked);
    let known = true;
    for (let i = 0; i < holdings.length && known; i += BATCH) {
      const batch = holdings.slice(i, i + BATCH).filter(({ candidate }) => lines.has(candidate.sessionId));
      known = (await Promise.all(batch.map((holding) => lines.ask(holding)))).every(Boolean);
    }
    this.#announcing = false;
    if (!known) this.#pending = true;
    else if (generation !== memory.generation) {
      memory.announced(generation);
      if (lost) this.#options.onRestored();
    }
  }

  #reconcileSome(): void {
    const { lines, renewEveryMs } = this.#options;
    const share = Math.ceil(lines.size * renewEveryMs / RECONCILE_PERIOD_MS);
    for (let i = 0; i < share; i++) {
      this.#reconcile ??= lines.holdings();
      const { value, done } = this.#reconcile.next();
      if (done) this.#reconcile = undefined;
      else if (value.established) lines.ask(value);
    }
  }
}
