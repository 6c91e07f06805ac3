import { getLogger } from "../../../service/log.ts";

const log = getLogger(["solo", "registry"]);

/**
 * Processes of a version whose keys had no hash tag, and which share a Redis and a prefix with this one.
 *
 * Neither side sees the other's sessions, so whoever does takes none while the other may have some: that is us, since they
 * know nothing of us. A lease of theirs is over when its process has taken it out in order, or when nobody has renewed it for
 * a lease by our own clock: they renew theirs as often as we do, and the clock of their leases may have been set.
 */
export class Predecessors {
  readonly #leaseMs: number;
  /** By the name of a node, when its lease ends by their clock, and since when that is known, by ours. */
  #leases = new Map<string, { end: string; sinceMs: number }>();
  #alive = 0;

  /** @param leaseMs Theirs as well as ours: a service has one. */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** How many of them may have sessions. */
  get alive(): number {
    return this.#alive;
  }

  /**
   * Takes what a renewal was answered, and says in the log when there are others than before.
   *
   * @param leases Their nodes, each followed by the end of its lease.
   * @param sentAtMs When the renewal was sent.
   * @param answeredAtMs When it was answered.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * const predecessors = new Predecessors(10_000);
   * predecessors.hear(["a", "700", "b", "900"], 0, 1);
   * assert.equal(predecessors.alive, 2);
   * predecessors.hear(["a", "700", "b", "901"], 10_001, 10_002);
   * assert.equal(predecessors.alive, 1); // a has not renewed for a lease
   * predecessors.hear([], 10_003, 10_004);
   * assert.equal(predecessors.alive, 0);
   * ```
   */
  hear(leases: string[], sentAtMs: number, answeredAtMs: number): void {
    const heard = new Map<string, { end: string; sinceMs: number }>();
    let alive = 0;
    for (let i = 0; i < leases.length; i += 2) {
      const node = leases[i]!, end = leases[i + 1]!;
      const known = this.#leases.get(node);
      const lease = known?.end === end ? known : { end, sinceMs: answeredAtMs };
      heard.set(node, lease);
      if (sentAtMs - lease.sinceMs < this.#leaseMs) alive++;
    }
    this.#leases = heard;
    this.#report(alive);
    this.#alive = alive;
  }

  #report(alive: number): void {
    if (alive > 0 && alive !== this.#alive) {
      log.warn(
        "processes of an older version are running ({count}), whose sessions this one cannot see: it takes no clients until they have stopped",
        { count: alive },
      );
    }
    if (alive === 0 && this.#alive > 0) log.info("the processes of an older version have stopped");
  }
}
