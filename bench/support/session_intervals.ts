/** From when until when each session was established, by what the kernel saw. */

import type { Segment } from "./capture.ts";

export interface Interval {
  clientId: string;
  port: number;
  /** The segment with its session_id. */
  fromMs: number;
  /** The first segment with a close frame of either side, or that ends the connection; `Infinity` where none came. */
  toMs: number;
}

const TEXT = 0x81;
const CLOSE = 0x88;
const CLOSE_MASKED = 0x80;

/** Two sessions of one client at the same time. */
export interface Overlap {
  clientId: string;
  ms: number;
}

/** @param serverPorts Which ends of the connections are servers. */
export function intervalsOf(segments: Segment[], serverPorts: Set<number>): Interval[] {
  const decoder = new TextDecoder("latin1");
  const clients = new Map<string, string>();
  const open = new Map<string, Interval>();
  const intervals: Interval[] = [];
  for (const { atMs, from, to, ends, payload } of segments) {
    const fromServer = serverPorts.has(from);
    const key = fromServer ? `${from} ${to}` : `${to} ${from}`;
    const interval = open.get(key);
    if (!interval) {
      if (!fromServer) {
        const clientId = decoder.decode(payload).match(/^GET \/\?client_id=(\S+)/)?.[1];
        if (clientId) clients.set(key, clientId);
        continue;
      }
      const start = frameStart(payload);
      if (start === undefined || payload[start] !== TEXT || !clients.has(key)) continue;
      const started = { clientId: clients.get(key)!, port: from, fromMs: atMs, toMs: Infinity };
      clients.delete(key);
      intervals.push(started);
      open.set(key, started);
      if (payload.length > start + 2 + payload[start + 1]!) started.toMs = atMs; // closed in the same segment
    } else if (interval.toMs === Infinity) {
      const closes = payload[0] === CLOSE && (fromServer || payload[1]! >= CLOSE_MASKED);
      if (ends || closes) interval.toMs = atMs;
    }
    if (ends) open.delete(key);
  }
  return intervals;
}

/** Where the first frame begins in what a server sends: behind the head of its answer, where that is in it. */
function frameStart(payload: Uint8Array): number | undefined {
  if (payload[0] === TEXT) return 0;
  for (let i = 0; i + 4 < payload.length; i++) {
    const blankLine = payload[i] === 13 && payload[i + 1] === 10 && payload[i + 2] === 13 &&
      payload[i + 3] === 10;
    if (blankLine) return i + 4;
  }
  return undefined;
}

/**
 * Looks at each session and its successor.
 *
 * @returns how many there were to look at, those that overlap, and the shortest time between an end and the next start, ms.
 */
export function overlapsIn(
  intervals: Interval[],
): { takeovers: number; overlaps: Overlap[]; leastMs: number } {
  const overlaps: Overlap[] = [];
  let takeovers = 0;
  let leastMs = Infinity;
  const byClient = Map.groupBy(intervals, ({ clientId }) => clientId);
  for (const [clientId, list] of byClient) {
    list.sort((a, b) => a.fromMs - b.fromMs);
    let endMs = -Infinity;
    for (const [i, { fromMs, toMs }] of list.entries()) {
      if (i > 0) {
        takeovers++;
        leastMs = Math.min(leastMs, fromMs - endMs);
        if (endMs > fromMs) overlaps.push({ clientId, ms: Math.min(endMs, toMs) - fromMs });
      }
      endMs = Math.max(endMs, toMs);
    }
  }
  return { takeovers, overlaps, leastMs };
}
