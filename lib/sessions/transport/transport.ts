/** Who speaks HTTP and WebSocket: the contract that the rest of the service knows, and no trap of a platform in it. */

import type { Delivery } from "../session_entry.ts";

export type { Delivery };

/** What a handler sees of a request. A `Request` is one; an upgrade may be told by something that costs less. */
export interface IncomingRequest {
  readonly method: string;
  /** Absolute. It may not be one that `new URL` takes: it has the Host header in it as it came. */
  readonly url: string;
  readonly headers: Pick<Headers, "get" | "has">;
  /** What was sent with it, for who reads it to a bound of his own; none with a request to upgrade. */
  readonly body?: ReadableStream<Uint8Array> | null;
}

/** What a request does not say itself. */
export interface RequestInfo {
  /** The IP address of the peer: of the proxy, where there is one. */
  readonly remoteAddress: string;
  /** Kept, or broken, when the answer has been sent or its reader is gone. */
  readonly completed: Promise<void>;
}

/** Answers every request: with a response, or by letting it become a WebSocket. */
export type Handler = (
  request: IncomingRequest,
  info: RequestInfo,
) => Response | Upgrade | Promise<Response | Upgrade>;

/** The wish to turn a request into a WebSocket; `accept` makes one. */
export class Upgrade {
  constructor(readonly listener: ConnectionListener, readonly protocol: string | undefined) {}
}

/**
 * The answer to a request whose handshake is in order (`handshakeFault` says whether it is).
 *
 * @param listener Hears of the connection, from `onOpen` on.
 * @param options.protocol The subprotocol that was chosen of those that the client offers. @default none
 */
export function accept(listener: ConnectionListener, options: { protocol?: string } = {}): Upgrade {
  return new Upgrade(listener, options.protocol);
}

/** What the peer of a connection has done that it is to be closed for; each is a close code of RFC 6455, section 7.4.1. */
export type Fault =
  /** No frame for the time of the heartbeat. */
  | "silent"
  /** A message longer than `MAX_MESSAGE_BYTES`. */
  | "too-big"
  /** More messages in a second than `maxMessages`, control frames among them. */
  | "too-many"
  /** Bytes that are no WebSocket frames. */
  | "protocol-error"
  /** A text that is no UTF-8. */
  | "not-utf8";

/** What is told of one connection. An object with methods, not closures: ten thousand of them are idle at a time. */
export interface ConnectionListener {
  /** The handshake is done. Called at most once, and before the others; not where the peer left meanwhile. */
  onOpen(connection: Connection): void;
  /** The connection should be closed with the code of the fault. Nothing that the peer sends is looked at any more. */
  onFault(fault: Fault): void;
  /**
   * There is evidence that the WebSocket has ended otherwise than by our `close`: the peer's close frame or the end of
   * the connection. Called once, unless `close` was called before.
   *
   * @param code The peer's; 1005 and 1006 where there is none.
   */
  onEnd(code: number): void;
}

/** One WebSocket, open until it is closed by either side. What its peer sends is discarded as it arrives. */
export interface Connection {
  /** Sends a text; nothing where the connection has ended or is closing. */
  send(text: string): void;

  /**
   * Sends a text where no more than `MAX_UNSENT_BYTES` of earlier ones wait in this process for the kernel to take them.
   *
   * @returns a promise that is kept on evidence of what has become of it, and never broken. A peer that reads nothing may
   * keep it waiting as long as its connection lives.
   */
  deliver(text: string): Promise<Delivery>;

  /**
   * Sends the close frame, waits `CLOSE_TIMEOUT_MS` for the peer's, and cuts the connection then. Calling it again has
   * no effect.
   *
   * @returns a promise that is kept on evidence that nothing but the close frame can follow what the peer has got: the
   * frame is with the kernel, the peer has closed, or the connection is cut. It is never broken, and it is kept within
   * `CLOSE_TIMEOUT_MS` where the process is not short of time.
   */
  close(code: number, reason: string): Promise<void>;

  /** Cuts the connection without a close frame; keeps the promise of `close`. Safe to call twice. */
  terminate(): void;
}

/** How a transport is started. */
export interface TransportOptions {
  /** An address, or `localhost`: the loopback addresses of IPv4 and, where the machine has it, IPv6. */
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  /** Which flags say where that is, for who reads that it cannot listen there. @default `--host` and `--port` */
  flags?: { host: string; port: string };
  handler: Handler;
  /** More messages than this of one connection in a second are a fault. */
  maxMessages: number;
  /** As many connections as the handler lets be open, for what is lost to be measured by. */
  maxConnections: number;
  /**
   * Called before anything that a peer has sent is looked at, and before a heartbeat: the first that is done after a
   * standstill of the process.
   */
  onAwake: () => void;
  /** The transport has lost so many descriptors that the process should be replaced. Called at most once. */
  onWornOut: () => void;
}

/** A transport that listens. */
export interface Transport {
  readonly name: TransportName;
  /** Where it listens: `host:port`. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Connections that are WebSockets, or about to be; each costs a descriptor. Those that are lost are not among them. */
  readonly connections: number;
  /** Descriptors that are gone until the process ends. */
  readonly lost: number;
  /** Stops to listen, waits a moment for answers that are being sent, and ends all that is left. */
  close(): Promise<void>;
}

/** The values of `--transport`, but for `auto`. */
export type TransportName = "deno" | "node";

/** The largest message that is read, in bytes. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** As much may wait in this process for a peer that does not read, bytes; the kernel has taken far more by then. */
export const MAX_UNSENT_BYTES = 128 * 1024;

/** A peer that has sent no frame for this long is sent PING; when as much again has passed it is silent. */
export const HEARTBEAT_MS = 5_000;

/** How long a peer has to answer a close frame, and an answer to be sent when the transport is closed. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** The addresses that a host name stands for. */
export function hostnamesOf(hostname: string): string[] {
  return hostname === "localhost" ? ["127.0.0.1", "::1"] : [hostname];
}
