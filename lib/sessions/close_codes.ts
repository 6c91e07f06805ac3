/** What a client should do after a close. */
export type AfterClose =
  /** Connect again, after a random wait that grows, or one within what the reason says. */
  | "reconnect"
  /** Connect again with another token, and stay away without one. */
  | "renew-token"
  /** Stay away: it would only be closed again, or would push out another. */
  | "stay-away";

/** One way in which the server ends a session. */
export interface CloseCode {
  readonly code: number;
  /** Stands in the close frame; at most 123 bytes. */
  readonly reason: string;
  readonly after: AfterClose;
}

/**
 * Every code that the server closes with. 1000 to 2999 are the protocol's own (RFC 6455, section 7.4.1, and the IANA
 * registry of WebSocket close codes), 4000 to 4999 are free for applications (section 7.4.2).
 */
export const CLOSE_CODES = {
  /** The process is being stopped. The reason goes on with how long a client may wait, see `Drain.farewell`. */
  goingAway: { code: 1001, reason: "the server is going away", after: "reconnect" },
  /** 5 s after an unanswered PING. Deno sends it by itself, in these words. */
  silent: { code: 1001, reason: "No response from ping frame.", after: "reconnect" },
  /** What was sent are no WebSocket frames. */
  protocolError: { code: 1002, reason: "this breaks the WebSocket protocol", after: "stay-away" },
  /** A text that is none. */
  notUtf8: { code: 1007, reason: "a text is not UTF-8", after: "stay-away" },
  /** More messages in a second than `--max-messages`. */
  tooMany: { code: 1008, reason: "too many messages", after: "stay-away" },
  /** A message over the limit. */
  tooBig: { code: 1009, reason: "messages are limited to 64 KiB", after: "stay-away" },
  /** This process may not hold sessions at the moment; another one may. */
  tryAgainLater: {
    code: 1013,
    reason: "the session registry is out of reach, try again",
    after: "reconnect",
  },
  /** What proved who the client is no longer does. Most codes of our own recall an HTTP status by their last digits. */
  tokenExpired: { code: 4401, reason: "the token has expired", after: "renew-token" },
  /** Somebody with the right to do so has ended it. */
  endedByOperator: { code: 4403, reason: "ended by the operator", after: "stay-away" },
  /** A newcomer that asked not to take over, where there is somebody to take over from. */
  connectedAlready: { code: 4408, reason: "the client is connected already", after: "stay-away" },
  /** The one rule. */
  replaced: { code: 4409, reason: "replaced by a newer connection", after: "stay-away" },
  /** Several programs with one client_id push each other out: the newcomer waits until the minute has room. */
  tooManyTakeovers: { code: 4429, reason: "too many takeovers, wait", after: "reconnect" },
} as const satisfies Record<string, CloseCode>;
