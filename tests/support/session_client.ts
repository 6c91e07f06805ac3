/** A client of ws-server, by the platform's own WebSocket. */

/** How a connection ended. */
export interface Ending {
  code: number;
  reason: string;
}

export class SessionClient implements AsyncDisposable {
  readonly #socket: WebSocket;
  /** Resolves when the connection is over. */
  readonly ended: Promise<Ending>;
  readonly sessionId: string;

  private constructor(socket: WebSocket, ended: Promise<Ending>, sessionId: string) {
    this.#socket = socket;
    this.ended = ended;
    this.sessionId = sessionId;
  }

  /**
   * Connects and waits for the session_id.
   *
   * @param address `host:port` of a ws-server or of a balancer.
   * @throws {Error} when there is no session to be had.
   */
  static async connect(address: string, clientId: string): Promise<SessionClient> {
    const socket = new WebSocket(`ws://${address}/?client_id=${encodeURIComponent(clientId)}`);
    const ended = new Promise<Ending>((resolve) => {
      socket.onclose = ({ code, reason }) => resolve({ code, reason });
    });
    socket.onerror = () => {}; // a close follows
    const first = new Promise<string>((resolve) => socket.onmessage = ({ data }) => resolve(data));
    const result = await Promise.race([first, ended]);
    if (typeof result === "string") return new SessionClient(socket, ended, result);
    throw new Error(`no session for ${clientId} on ${address}: ${result.code} ${result.reason}`);
  }

  async close(): Promise<void> {
    this.#socket.close(1000);
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
