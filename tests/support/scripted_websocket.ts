/** A WebSocket server that does what a test tells it to: every close code, and every way to say nothing. */

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
// @ts-types="../../lib/sessions/transport/ws.d.ts"
import { type WebSocket, WebSocketServer } from "ws";

/** A client that asks for an upgrade. */
export class Visitor {
  readonly #answer: (visitor: Visitor) => Promise<WebSocket>;

  constructor(
    readonly request: IncomingMessage,
    readonly socket: Socket,
    /** Counts from 1. */
    readonly number: number,
    answer: (visitor: Visitor) => Promise<WebSocket>,
  ) {
    this.#answer = answer;
  }

  /** Accepts the connection, with the first of the subprotocols that are offered. */
  accept(): Promise<WebSocket> {
    return this.#answer(this);
  }

  /** Answers with a status such as `503 Service Unavailable`. */
  refuse(status: string): void {
    this.socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  }

  get clientId(): string | null {
    return new URL(this.request.url!, "http://localhost").searchParams.get("client_id");
  }
}

export class ScriptedWebSocket implements AsyncDisposable {
  readonly #http = createServer();
  readonly #websockets = new WebSocketServer({ noServer: true });
  readonly #sockets = new Set<Socket>();
  /** How many clients have asked for an upgrade. */
  visits = 0;

  private constructor(script: (visitor: Visitor) => unknown) {
    this.#http.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {}); // a client may leave as it likes
    });
    this.#http.on("upgrade", (request: IncomingMessage, socket: Socket, head: Uint8Array) => {
      const accept = () =>
        new Promise<WebSocket>((resolve) =>
          this.#websockets.handleUpgrade(request, socket, head, (websocket) => {
            websocket.on("error", () => {});
            resolve(websocket);
          })
        );
      script(new Visitor(request, socket, ++this.visits, accept));
    });
  }

  /** Listens on a free port of the loopback address; `script` meets each client that asks for an upgrade. */
  static async start(script: (visitor: Visitor) => unknown): Promise<ScriptedWebSocket> {
    const server = new ScriptedWebSocket(script);
    server.#http.listen(0, "127.0.0.1");
    await once(server.#http, "listening");
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = once(this.#http, "close");
    this.#http.close();
    await closed;
  }
}
