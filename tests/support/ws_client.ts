/** A well-behaved WebSocket client, the platform's own. */

import { withDeadline } from "../../lib/service/clock.ts";
import { PATIENCE_MS } from "./wait.ts";

export class WsClient implements AsyncDisposable {
  /** The first message. */
  readonly sessionId: Promise<string>;
  /** Those after it, so far. */
  readonly messages: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;

  /** @param more What else is in the query. */
  constructor(port: number, readonly clientId: string, more: string = "") {
    const query = `client_id=${encodeURIComponent(clientId)}${more && `&${more}`}`;
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/?${query}`);
    const first = Promise.withResolvers<string>();
    const closed = Promise.withResolvers<{ code: number; reason: string }>();
    this.#socket.onmessage = ({ data }) => {
      first.resolve(data);
      this.#socket.onmessage = ({ data }) => this.messages.push(data);
    };
    this.#socket.onerror = () => {}; // a close follows
    this.#socket.onclose = ({ code, reason }) => {
      first.reject(new Error(`closed with ${code} ${reason} before there was a session_id`));
      closed.resolve({ code, reason });
    };
    this.sessionId = withDeadline(first.promise, PATIENCE_MS, "no session_id");
    this.sessionId.catch(() => {}); // whoever wants it sees the error
    this.closed = closed.promise;
  }

  /** Connects and waits for the session_id. */
  static async establish(port: number, clientId: string): Promise<WsClient> {
    const client = new WsClient(port, clientId);
    await client.sessionId;
    return client;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get isConnecting(): boolean {
    return this.#socket.readyState === WebSocket.CONNECTING;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  /** Waits for the end that the server makes. */
  async end(timeoutMs = PATIENCE_MS): Promise<{ code: number; reason: string }> {
    return await withDeadline(this.closed, timeoutMs, `client ${this.clientId} was not closed`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.close();
    await this.closed;
  }
}
