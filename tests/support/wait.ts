/**
 * How long a test waits for what must come, ms: so long that it comes on the busiest machine, and short enough to see
 * that it does not. Nothing is judged by it but whether it comes.
 */
export const PATIENCE_MS = 60_000;

/** A lease that a process keeps on the busiest machine, for tests in which none is to end, ms. */
export const LASTING_LEASE_MS = 30_000;

/** A lease that is to end while others keep theirs, on a busy machine too, ms. */
export const ENDING_LEASE_MS = 10_000;

/**
 * Asks for a count until it is what it has to be. How long that takes is no matter while it goes on: only one that stands still
 * for `PATIENCE_MS` is given up.
 */
export async function untilCounted(
  count: () => Promise<number>,
  expected: number,
  what: string,
): Promise<void> {
  let seen = NaN;
  while (seen !== expected) {
    const before = seen;
    await until(
      async () => !Object.is(seen = await count(), before),
      `${what}: ${expected} are expected, ${before} were seen last`,
    );
  }
}

/**
 * Asks `condition` until it holds, for what a test cannot be told of.
 *
 * @param what For whom it waits in vain; a function where that is to say what was seen last.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!await condition()) {
    if (performance.now() > end) {
      const seen = typeof what === "string" ? what : what();
      throw new Error(`waited ${timeoutMs} ms in vain until ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
