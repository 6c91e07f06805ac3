/** One hostile connection after another. */

import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../chaos/random.ts";
import { hostileBytes } from "./bytes.ts";

/** How long one connection lasts at most. */
const MAX_STAY_MS = 3_000;

export interface HostileOptions {
  port: number;
  random: Random;
  maxRequestBytes: number;
  signal: AbortSignal;
  /** Told what is being sent, before it is. */
  onSend: (bytes: Uint8Array) => void;
}

/** Connects, sends, leaves, until told to stop. */
export async function beHostile(options: HostileOptions): Promise<void> {
  while (!options.signal.aborted) {
    try {
      await visit(options);
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return; // the server is dead, which others will see
      // cut off, as it should be
    }
  }
}

async function visit({ port, random, maxRequestBytes, onSend }: HostileOptions): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const manner = random.weighted({ reads: 6, deaf: 2, leaves: 2, idles: 1 });
  const reading = manner === "reads" ? drain(conn) : Promise.resolve();
  const bytes = hostileBytes(random, maxRequestBytes);
  onSend(bytes);
  const over = new AbortController();
  const stay = delay(random.between(10, MAX_STAY_MS), undefined, { signal: over.signal }).catch(() => {});
  try {
    await Promise.race([stay, send(conn, bytes, random)]);
    if (manner === "leaves") return;
    if (manner === "reads") await conn.closeWrite();
    await Promise.race([stay, manner === "reads" ? reading : stay]);
  } finally {
    over.abort();
  }
}

/** In pieces of any length, with and without a moment between them. */
async function send(conn: Deno.TcpConn, bytes: Uint8Array, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at, at + random.of([1, 7, 100, 1024, 65_536])));
    if (random.next() < 0.05) await delay(random.between(0, 20));
  }
}

async function drain(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // cut off
  }
}
