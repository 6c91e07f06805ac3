import { getLogger } from "../service/log.ts";
import { CLOSE_CODES, type CloseCode } from "./close_codes.ts";
import type { Candidate, RevokeReason } from "./registry/registry.ts";
import { terminate } from "./transport/terminate.ts";

const log = getLogger(["solo", "session"]);

/** The largest message that is read, in bytes. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** How long a peer has to answer a close frame. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** Half of this after the last frame the platform sends PING, and closes with 1001 when all of it has passed. */
export const IDLE_TIMEOUT_S = 10;

/** The server, as a session sees it. */
export interface SessionHost {
  /** The socket is open and wants to be the client's session. */
  onOpen(session: Session): void;
  /** The session has become the only one of its client. */
  onEstablished(session: Session): void;
  /** The session was ended, or its socket was; called once. Its descriptor may still be open. */
  onEnd(session: Session, code: number): void;
  /** The socket is gone; called once, after `onEnd`. */
  onGone(session: Session): void;
}

/**
 * One socket and its life: open, established, ended, gone.
 *
 * It listens to the events of its socket itself, as an object: ten thousand idle sessions should not cost forty
 * thousand closures.
 */
export class Session implements Candidate {
  readonly sessionId: string = crypto.randomUUID();
  readonly connectedAtMs: number = Date.now();
  readonly #socket: WebSocket;
  readonly #host: SessionHost;
  #established = false;
  #ended = false;
  #gone = false;
  #cutTimer: ReturnType<typeof setTimeout> | undefined;
  #whenGone: PromiseWithResolvers<void> | undefined;

  constructor(readonly clientId: string, socket: WebSocket, host: SessionHost) {
    this.#socket = socket;
    this.#host = host;
    socket.binaryType = "arraybuffer";
    for (const type of ["open", "message", "close", "error"]) socket.addEventListener(type, this);
  }

  /** Whether the client has been told its session_id, now or ever. */
  get established(): boolean {
    return this.#established;
  }

  /** Sends the session_id: from here on the session is established. */
  establish(): void {
    if (this.#ended || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(this.sessionId);
    this.#established = true;
    this.#host.onEstablished(this);
  }

  revoke(reason: RevokeReason): Promise<void> {
    if (reason.kind === "lease-lost") {
      this.close(CLOSE_CODES.tryAgainLater);
      return this.#gonePromise();
    }
    log.debug("session {session} of client {client} is replaced by {by} on node {node}", {
      session: this.sessionId,
      client: this.clientId,
      by: reason.bySessionId,
      node: reason.byNode,
    });
    this.close(CLOSE_CODES.replaced);
    return this.#gonePromise();
  }

  cut(): void {
    this.closeNow();
  }

  #gonePromise(): Promise<void> {
    if (this.#gone) return Promise.resolve();
    return (this.#whenGone ??= Promise.withResolvers()).promise;
  }

  /** Ends the session: sends the close frame, and drops the connection when no answer comes. Safe to call twice. */
  close({ code, reason }: CloseCode): void {
    if (this.#gone || this.#ended) return;
    this.#socket.close(code, reason);
    this.#cutTimer = setTimeout(() => terminate(this.#socket), CLOSE_TIMEOUT_MS);
    this.#end(code);
  }

  /** Ends the session without a close frame. Safe to call twice. */
  closeNow(): void {
    if (this.#gone) return;
    clearTimeout(this.#cutTimer);
    terminate(this.#socket);
    this.#end(1006);
  }

  /** Listens to its socket. An error that left here would end the process, with the sessions of everybody else. */
  handleEvent(event: Event): void {
    try {
      this.#onEvent(event);
    } catch (error) {
      log.error("session {session} of client {client} ends over {error}", {
        session: this.sessionId,
        client: this.clientId,
        error,
      });
      this.closeNow();
    }
  }

  #onEvent(event: Event): void {
    switch (event.type) {
      case "open":
        this.#host.onOpen(this);
        break;
      case "message":
        if (byteLengthOver((event as MessageEvent).data, MAX_MESSAGE_BYTES)) this.close(CLOSE_CODES.tooBig);
        break;
      case "close": // comes twice when the platform's own idle timeout has closed
        if (this.#gone) return;
        this.#gone = true;
        clearTimeout(this.#cutTimer);
        this.#end((event as CloseEvent).code || 1006); // 0: the stream ended without a close frame
        this.#whenGone?.resolve();
        this.#host.onGone(this);
        break;
      case "error":
        log.debug("session {session} of client {client}: {error}", {
          session: this.sessionId,
          client: this.clientId,
          error: (event as ErrorEvent).message,
        });
    }
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    log.debug("session {session} of client {client} ends with {code}", {
      session: this.sessionId,
      client: this.clientId,
      code,
    });
    this.#host.onEnd(this, code);
  }
}

/**
 * Whether a message is longer than `limit`; the text is not encoded when its length alone decides.
 *
 * @param data `null` is no message: the platform (Deno 2.9.6) makes one of a text that comes in the very turn in which its
 *   idle timeout has closed the socket.
 */
function byteLengthOver(data: string | ArrayBuffer | null, limit: number): boolean {
  if (data === null) return false;
  if (typeof data !== "string") return data.byteLength > limit;
  if (data.length * 3 <= limit) return false;
  return data.length > limit || new TextEncoder().encode(data).length > limit;
}
