/** What nodes and scripts tell a node, each on the channel of its own. */

import type { Delivery } from "../../session_entry.ts";

export type NodeMessage =
  /** A newer session wants the place of this one; see lua/claim.lua. */
  | { kind: "evict"; sessionId: string; bySessionId: string; byNode: string; clientId: string }
  /** It is the turn of this session; see lua/release.lua. */
  | { kind: "turn"; sessionId: string }
  /** An operator ends this session; see lua/end.lua. */
  | { kind: "end"; sessionId: string; clientId: string }
  /** A client is blocked from now on; see lua/end.lua. */
  | { kind: "block"; ms: number; clientId: string }
  /** A text for this session, and who is to be told what has become of it; see lua/send.lua. */
  | { kind: "send"; sessionId: string; request: string; byNode: string; text: string }
  /** What has become of a text. */
  | { kind: "sent"; request: string; delivery: Delivery };

/** By its first word, how many words a message has. The last one is all that is left: a client_id or a text may hold spaces. */
const WORDS: Readonly<Record<string, number>> = { evict: 5, turn: 2, end: 3, block: 3, send: 5, sent: 3 };

/**
 * A message as the scripts publish it.
 *
 * @returns nothing where it is none: another version's.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseMessage("end s1 two words"), { kind: "end", sessionId: "s1", clientId: "two words" });
 * assert.equal(parseMessage("dance s1"), undefined);
 * ```
 */
export function parseMessage(message: string): NodeMessage | undefined {
  const [kind = ""] = message.split(" ", 1);
  const [, a, b, c, d] = wordsOf(message, WORDS[kind] ?? 0) as [string, string, string, string, string];
  switch (kind) {
    case "evict":
      return { kind, sessionId: a, bySessionId: b, byNode: c, clientId: d };
    case "turn":
      return { kind, sessionId: a };
    case "end":
      return { kind, sessionId: a, clientId: b };
    case "block":
      return { kind, ms: Number(a), clientId: b };
    case "send":
      return { kind, sessionId: a, request: b, byNode: c, text: d };
    case "sent":
      return { kind, request: a, delivery: b as Delivery };
  }
  return undefined;
}

function wordsOf(message: string, count: number): string[] {
  const words: string[] = [];
  let at = 0;
  for (let i = 1; i < count; i++) {
    const end = message.indexOf(" ", at);
    words.push(message.slice(at, end));
    at = end + 1;
  }
  return [...words, message.slice(at)];
}
