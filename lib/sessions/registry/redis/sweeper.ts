import { messageOf } from "../../../service/errors.ts";
import type { Clock } from "../../../service/clock.ts";
import { getLogger } from "../../../service/log.ts";
import type { HeldLease, RedisStore } from "./redis_store.ts";

const log = getLogger(["solo", "registry"]);

export interface SweeperOptions {
  store: RedisStore;
  clock: Clock;
  /** The name of this process now. */
  node(): string;
  /** Whether this process has a session of that id. */
  has(sessionId: string): boolean;
  onSwept(count: number): void;
}

/** Takes entries that nobody holds out of their lines: those of dead nodes, and after a loss of data our own too. */
export class Sweeper {
  readonly #options: SweeperOptions;
  #sweeping = false;
  #own = false;
  #closed = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** The next sweep looks for entries of this process too. */
  includeOwn(): void {
    this.#own = true;
  }

  onRenewed({ settled, deadNodes }: HeldLease): void {
    // before it settles, who seems dead may just not have come back yet
    if (settled && (deadNodes.length > 0 || this.#own)) this.#sweep(deadNodes);
  }

  close(): void {
    this.#closed = true;
  }

  /** Goes through all lines, a bucket at a time. */
  async #sweep(deadNodes: string[]): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { store, clock, node: ownNode, has, onSwept } = this.#options;
    const own = this.#own;
    this.#own = false;
    try {
      let swept = 0;
      const nodes = new Nodes(store);
      for await (const page of store.lines()) {
        for (const { clientId, sessionId, node } of page.flat()) {
          if (this.#closed) return;
          const mine = node === ownNode();
          if (mine ? !own || has(sessionId) : await nodes.isLive(node)) continue;
          if (await store.release(clientId, sessionId, mine ? "ended" : "dead")) swept++;
        }
        await clock.nextTurn();
      }
      await store.forget("", deadNodes);
      if (swept > 0) {
        onSwept(swept);
        log.info("swept {swept} entries that nobody holds", { swept });
      }
    } catch (error) {
      this.#own ||= own;
      log.debug("sweep not finished: {error}", { error: messageOf(error) });
    } finally {
      this.#sweeping = false;
    }
  }
}

/** Which nodes hold a lease, asked for again whenever an entry names one that is not known. */
export class Nodes {
  /** Those known to hold one. */
  live: Set<string> = new Set();
  readonly #dead = new Set<string>();

  constructor(readonly store: RedisStore) {}

  /** To be asked after the entry was read: a node takes its lease before its first entry, so a live one is found. */
  async isLive(node: string): Promise<boolean> {
    if (this.live.has(node)) return true;
    if (this.#dead.has(node)) return false;
    this.live = await this.store.liveNodes();
    if (!this.live.has(node)) this.#dead.add(node);
    return this.live.has(node);
  }
}
