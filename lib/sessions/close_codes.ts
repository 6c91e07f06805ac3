/** What a client should do after a close. */
export type AfterClose =
  /** Connect again, after a random wait that grows. */
  | "reconnect"
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
  /** The process is being stopped. */
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
  /** The session has lasted as long as its token. 4401 recalls HTTP's 401 Unauthorized. */
  tokenExpired: { code: 4401, reason: "the token has expired", after: "stay-away" },
  /** The one rule. 4409 recalls HTTP's 409 Conflict. */
  replaced: { code: 4409, reason: "replaced by a newer connection", after: "stay-away" },
} as const satisfies Record<string, CloseCode>;
