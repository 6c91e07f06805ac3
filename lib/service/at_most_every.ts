/**
 * Makes something that is costly to produce be produced at most once in a while, however often it is asked for: between
 * times, and while it is being produced, everybody is given the same.
 *
 * @param periodMs How old what is given may be, ms, counted from when its making began.
 * @param make May fail: then whoever waits for it hears of it, and the next one to ask makes it anew.
 * @param nowMs The time, ms. @default the system's monotonic clock
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * let made = 0;
 * const produce = atMostEvery(60_000, () => Promise.resolve(++made));
 * assert.equal(await produce(), 1);
 * assert.equal(await produce(), 1);
 * ```
 */
export function atMostEvery<T>(
  periodMs: number,
  make: () => Promise<T>,
  nowMs: () => number = () => performance.now(),
): () => Promise<T> {
  let last: { madeAtMs: number; product: Promise<T> } | undefined;
  return () => {
    const now = nowMs();
    if (last && now - last.madeAtMs < periodMs) return last.product;
    const current = { madeAtMs: now, product: make() };
    last = current;
    current.product.catch(() => {
      if (last === current) last = undefined;
    });
    return current.product;
  };
}
