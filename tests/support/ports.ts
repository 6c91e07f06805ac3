/**
 * Ports for servers that have to be found again on the same one. Each test file has some to itself: two that took the same
 * free one at the same time would have talked to each other's servers.
 */

/** Below Linux's range of ephemeral ports: a server that is killed finds its port free again, however many connections are made. */
const [FIRST, END] = [10_000, 30_000];

/** How many a file has; it holds the first of them for as long as it runs, and so the others. */
const BLOCK = 100;

const block = takeBlock();
let given = 0;

/** A port that is free, and that nobody else is given. */
export function freePort(): number {
  return freePorts(1);
}

/** The first of so many free ports in a row. */
export function freePorts(count: number): number {
  for (let tries = 0; tries < BLOCK; tries++) {
    if (given + count >= BLOCK) given = 0; // those of long ago are free again
    const first = block + 1 + given;
    given += count;
    if (Array.from({ length: count }, (_, i) => first + i).every(isFree)) return first;
  }
  throw new Error(`no ${count} ports in a row are free from ${block + 1} to ${block + BLOCK - 1}`);
}

function takeBlock(): number {
  for (;;) {
    const first = FIRST + BLOCK * Math.floor(Math.random() * (END - FIRST) / BLOCK);
    if (listen(first)) return first;
  }
}

function isFree(port: number): boolean {
  const listener = listen(port);
  listener?.close();
  return listener !== undefined;
}

function listen(port: number): Deno.Listener | undefined {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return undefined;
    throw error;
  }
}
