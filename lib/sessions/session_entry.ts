/** What is told of a session: the words that the registry, the events and the listings share. */

/** One established session, as `/sessions` shows it. */
export interface SessionEntry {
  clientId: string;
  sessionId: string;
  /** The process that holds the socket; random per lease. */
  node: string;
  /** In which order the sessions of the cluster came, also over a loss of the registry's data. */
  epoch: number;
  /** Unix time. */
  connectedAtMs: number;
}

/** What has become of an established session. */
export type SessionChange =
  /** It was established. */
  | "opened"
  /** It ended while a newer connection of its client was waiting for its place. */
  | "replaced"
  /** It ended otherwise. */
  | "closed";

/** What has become of a text that was to be delivered to a session. */
export type Delivery =
  /** The kernel has taken it. */
  | "sent"
  /** Nothing was sent: the session has ended or is ending. */
  | "closed"
  /** Nothing was sent: the client does not take what it was sent before. */
  | "full"
  /** The connection ended before there was evidence: the client may have got it, or a part. */
  | "unknown";

/** An entry as programs see it: `connected_at` in the form of RFC 3339. */
export function toJson(entry: SessionEntry): Record<string, string | number> {
  return {
    client_id: entry.clientId,
    session_id: entry.sessionId,
    node: entry.node,
    epoch: entry.epoch,
    connected_at: new Date(entry.connectedAtMs).toISOString(),
  };
}
