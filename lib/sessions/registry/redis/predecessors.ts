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

  /** @param leaseMs Theirs as well as ours: a service has one. */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /**
   * Tells how many of them may have sessions, by what a renewal was answered.
   *
   * @param leases Their nodes, each followed by the end of its lease.
   * @param sentAtMs When the renewal was sent.
   * @param answeredAtMs When it was answered.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * const predecessors = new Predecessors(10_000);
   * assert.equal(predecessors.hear(["a", "700", "b", "900"], 0, 1), 2);
   * assert.equal(predecessors.hear(["a", "700", "b", "901"], 10_001, 10_002), 1); // a has not renewed for a lease
   * assert.equal(predecessors.hear([], 10_003, 10_004), 0);
   * ```
   */
  hear(leases: string[], sentAtMs: number, answeredAtMs: number): number {
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
    return alive;
  }
}
