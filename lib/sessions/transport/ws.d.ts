/** The part of the npm package ws that is used here; it comes without types. */

import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";

export class Receiver extends Writable {
  constructor(options: {
    isServer: boolean;
    extensions: object;
    maxPayload: number;
    maxFragments: number;
    maxBufferedChunks: number;
  });
}

export class Sender {
  constructor(socket: Socket, extensions: object);
  send(
    text: string,
    options: { binary: boolean; compress: boolean; fin: boolean; mask: boolean },
    written?: (error?: Error) => void,
  ): void;
  ping(data: Uint8Array, mask: boolean, written?: (error?: Error) => void): void;
  pong(data: Uint8Array, mask: boolean, written?: (error?: Error) => void): void;
  close(
    code: number | undefined,
    reason: string | Uint8Array,
    mask: boolean,
    written?: (error?: Error) => void,
  ): void;
}

export class WebSocket extends EventEmitter {
  constructor(
    url: URL,
    options: { perMessageDeflate: boolean; closeTimeout: number; headers: Record<string, string> },
  );
  on(event: "open" | "ping" | "pong", listener: () => void): this;
  on(event: "message", listener: (data: Uint8Array) => void): this;
  on(event: "close", listener: (code: number, reason: Uint8Array) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "unexpected-response", listener: (request: unknown, response: IncomingMessage) => void): this;
  send(text: string): void;
  ping(): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

export class WebSocketServer {
  constructor(options: { noServer: true });
  handleUpgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Uint8Array,
    accepted: (socket: WebSocket) => void,
  ): void;
}
