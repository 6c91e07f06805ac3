/** The messages of the event stream, as docs/sessions-events.md describes them. */

import { type SessionEvent, timeOf } from "./events.ts";
import { type SessionEntry, toJson } from "../session_entry.ts";

/** One or several whole messages. */
export type Chunk = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** All sessions follow. */
export function encodeSnapshot(): Chunk {
  return encode("snapshot", { at: now() });
}

/** A part of the snapshot. */
export function encodePage(page: SessionEntry[]): Chunk {
  return encode("sessions", page.map(toJson));
}

/** All is told up to the event with this id. */
export function encodeLive(id: string): Chunk {
  return encode("live", { at: now() }, id);
}

/** The registry is out of reach. */
export function encodePaused(): Chunk {
  return encode("paused", { at: now() });
}

/** The server is there. An event, not a comment: scripts in a browser cannot see comments, nor miss them. */
export function encodeBeat(): Chunk {
  return encode("beat", { at: now() });
}

/** How long to wait before a reconnection. */
export function encodeRetry(ms: number): Chunk {
  return encoder.encode(`retry: ${ms}\n\n`);
}

/**
 * Events as they are sent.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const session = { clientId: "kim", sessionId: "s1", node: "n1", epoch: 7, connectedAtMs: 0 };
 * const bytes = encodeEvents([{ id: "1000-0", kind: "opened", session }]);
 * assert.equal(
 *   new TextDecoder().decode(bytes),
 *   "id: 1000-0\nevent: opened\n" +
 *     'data: {"client_id":"kim","session_id":"s1","node":"n1","epoch":7,"connected_at":"1970-01-01T00:00:00.000Z",' +
 *     '"at":"1970-01-01T00:00:01.000Z"}\n\n',
 * );
 * ```
 */
export function encodeEvents(events: SessionEvent[]): Chunk {
  let text = "";
  for (const { id, kind, session } of events) {
    text += message(kind, JSON.stringify({ ...toJson(session), at: new Date(timeOf(id)).toISOString() }), id);
  }
  return encoder.encode(text);
}

function encode(event: string, data: unknown, id?: string): Chunk {
  return encoder.encode(message(event, JSON.stringify(data), id));
}

function message(event: string, json: string, id?: string): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${json}\n\n`;
}

function now(): string {
  return new Date().toISOString();
}
