import { getLogger } from "../service/log.ts";
import { CLOSE_CODES, type CloseCode } from "./close_codes.ts";
import type { Candidate, RevokeReason } from "./registry/registry.ts";
import type { Connection, ConnectionListener, Delivery, Fault } from "./transport/transport.ts";

const log = getLogger(["solo", "session"]);

/** With what a connection is closed whose peer has done something that is not allowed. */
const CODES_OF_FAULTS: Record<Fault, CloseCode> = {
  "silent": CLOSE_CODES.silent,
  "too-big": CLOSE_CODES.tooBig,
  "too-many": CLOSE_CODES.tooMany,
  "protocol-error": CLOSE_CODES.protocolError,
  "not-utf8": CLOSE_CODES.notUtf8,
};

/** The server, as a session sees it. */
export interface SessionHost {
  /** The connection is open and wants to be the client's session. */
  onOpen(session: Session): void;
  /** The session has become the only one of its client. */
  onEstablished(session: Session): void;
  /** The session was ended, or its connection was; called once. The end may not be evident yet. */
  onEnd(session: Session, code: number): void;
  /** There is evidence of the end; called once, after `onEnd`. */
  onEnded(session: Session): void;
}

/** Whose session a connection would be, and who has it. */
export interface SessionOptions {
  clientId: string;
  /** When it has to end at the latest, Unix ms. @default never */
  endsAtMs?: number;
  /** Whether it replaces who has the `client_id`. */
  takesOver: boolean;
  host: SessionHost;
}

/** One connection and its life: open, established, ended, and evidently so. */
export class Session implements Candidate, ConnectionListener {
  readonly sessionId: string = crypto.randomUUID();
  readonly connectedAtMs: number = Date.now();
  readonly clientId: string;
  readonly takesOver: boolean;
  /** When it has to end at the latest, Unix ms. */
  readonly endsAtMs: number | undefined;
  readonly #host: SessionHost;
  #connection: Connection | undefined;
  #established = false;
  /** Kept when the end is evident; there is none while the session has not been ended. */
  #ended: Promise<void> | undefined;

  constructor({ clientId, endsAtMs, takesOver, host }: SessionOptions) {
    this.clientId = clientId;
    this.endsAtMs = endsAtMs;
    this.takesOver = takesOver;
    this.#host = host;
  }

  /** Whether the client has been told its session_id, now or ever. */
  get established(): boolean {
    return this.#established;
  }

  /** Sends the session_id: from here on the session is established. */
  establish(): void {
    if (this.#ended) return;
    this.#connection!.send(this.sessionId);
    this.#established = true;
    this.#host.onEstablished(this);
  }

  revoke(reason: RevokeReason): Promise<void> {
    switch (reason.kind) {
      case "lease-lost":
        return this.close(CLOSE_CODES.tryAgainLater);
      case "ended":
      case "blocked":
        return this.close(CLOSE_CODES.endedByOperator);
      case "occupied":
        return this.close(CLOSE_CODES.connectedAlready);
      case "crowded":
        if (reason.first) {
          log.warn(
            "client {client} is taken over again and again: newcomers are closed with {code} while there were more takeovers " +
              "within a minute than --takeover-limit; several programs seem to use this client_id",
            { client: this.clientId, code: CLOSE_CODES.tooManyTakeovers.code },
          );
        }
        return this.close(CLOSE_CODES.tooManyTakeovers);
      case "replaced":
        log.debug("session {session} of client {client} is replaced by {by} on node {node}", {
          session: this.sessionId,
          client: this.clientId,
          by: reason.bySessionId,
          node: reason.byNode,
        });
        return this.close(CLOSE_CODES.replaced);
    }
  }

  /** Sends a text on an established session. */
  deliver(text: string): Promise<Delivery> {
    if (!this.#established || this.#ended) return Promise.resolve("closed");
    return this.#connection!.deliver(text);
  }

  /**
   * Ends the session with a close frame. Calling it again has no effect.
   *
   * @returns a promise that is kept when the end is evident, see `Connection.close`.
   */
  close({ code, reason }: CloseCode): Promise<void> {
    if (this.#ended) return this.#ended;
    const evidence = this.#connection!.close(code, reason);
    this.#ended = evidence.then(() => this.#host.onEnded(this));
    this.#note(code);
    return this.#ended;
  }

  /** Ends the session without a close frame. Safe to call twice. */
  cut(): void {
    this.#connection!.terminate(); // `onEnd` follows, or the evidence that `close` waits for
  }

  // ---- ConnectionListener -----------------------------------------------------------------------------------------

  onOpen(connection: Connection): void {
    this.#connection = connection;
    this.#host.onOpen(this);
  }

  onFault(fault: Fault): void {
    this.close(CODES_OF_FAULTS[fault]);
  }

  onEnd(code: number): void {
    if (this.#ended) return;
    this.#ended = Promise.resolve();
    this.#note(code);
    this.#host.onEnded(this);
  }

  #note(code: number): void {
    log.debug("session {session} of client {client} ends with {code}", {
      session: this.sessionId,
      client: this.clientId,
      code,
    });
    this.#host.onEnd(this, code);
  }
}
