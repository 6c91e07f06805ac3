/** A WebSocket client that does no more than a measurement needs, so that it costs the machine little. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/** Masked, as a client's must be; the mask is zero. */
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);
const CLOSE_1000 = Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8);

const TEXT = 0x81;
const CLOSE = 0x88;
const PING = 0x89;

/** All frames that a server under test sends are short: their length is in the second byte. */
const FRAME_HEAD_BYTES = 2;

/** Shared by all clients of the process: nothing that was read is kept. */
const scratch = new Uint8Array(4096);

export class LoadClient {
  /** What came behind the session_id in the same piece. */
  #rest: Uint8Array | undefined;
  /** What the server's close frame says, and when it was read, by `performance.now()`. */
  reason: string = "";
  closedAtMs: number = NaN;

  private constructor(readonly conn: Deno.TcpConn) {}

  /**
   * Connects and waits for the session_id.
   *
   * @param token Shown to the server, as `Authorization: Bearer`.
   * @throws when the server answers anything else.
   */
  static async connect(port: number, clientId: string, token?: string): Promise<LoadClient> {
    return await LoadClient.enter(await Deno.connect({ hostname: "127.0.0.1", port }), port, clientId, token);
  }

  /** The same over a connection that is there already. */
  static async enter(
    conn: Deno.TcpConn,
    port: number,
    clientId: string,
    token?: string,
  ): Promise<LoadClient> {
    try {
      await conn.write(encoder.encode(
        `GET /?client_id=${clientId} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: Upgrade\r\n` +
          "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
          (token === undefined ? "\r\n" : `authorization: Bearer ${token}\r\n\r\n`),
      ));
      const client = new LoadClient(conn);
      await client.#sessionId();
      return client;
    } catch (error) {
      close(conn);
      throw error;
    }
  }

  /** Answers every PING until the server closes; returns its close code, 0 where it just left. */
  async hold(): Promise<number> {
    const buffer = new Uint8Array(128); // the server's frames are small and come one at a time
    let code = 0;
    try {
      let frames = this.#rest;
      this.#rest = undefined;
      for (;;) {
        for (let at = 0; frames && at < frames.length; at += FRAME_HEAD_BYTES + frames[at + 1]!) {
          if (frames[at] === PING) await this.conn.write(PONG);
          if (frames[at] === CLOSE) {
            code = frames[at + 2]! << 8 | frames[at + 3]!;
            this.closedAtMs = performance.now();
            this.reason = decoder.decode(frames.subarray(at + 4, at + FRAME_HEAD_BYTES + frames[at + 1]!));
          }
        }
        if (code !== 0) break;
        const count = await this.conn.read(buffer);
        if (count === null) break;
        frames = buffer.subarray(0, count);
      }
      await this.close();
    } catch {
      // reset, or closed by `close`
    }
    return code;
  }

  /** Closes in the order of the protocol: close frame, then the end that the server makes. */
  async close(): Promise<void> {
    try {
      await this.conn.write(CLOSE_1000);
      while (await this.conn.read(scratch) !== null);
    } catch {
      // reset
    }
    this.closeNow();
  }

  closeNow(): void {
    close(this.conn);
  }

  /** Reads up to the session_id, which may be long in coming: PINGs before it are answered. */
  async #sessionId(): Promise<void> {
    const buffer = new Uint8Array(512);
    let length = 0;
    let frame = 0;
    for (;;) {
      const count = await this.conn.read(buffer.subarray(length));
      if (!count) throw new Error(`no session_id: ${decoder.decode(buffer.subarray(0, length))}`);
      length += count;
      if (frame === 0) {
        const text = decoder.decode(buffer.subarray(0, length));
        const headEnd = text.indexOf("\r\n\r\n");
        if (headEnd === -1) continue;
        if (!text.startsWith("HTTP/1.1 101 ")) throw new Error(`no session_id: ${text}`);
        frame = headEnd + 4;
      }
      for (
        let end;
        (end = frame + FRAME_HEAD_BYTES + (buffer[frame + 1] ?? Infinity)) <= length;
        frame = end
      ) {
        if (buffer[frame] === PING) await this.conn.write(PONG);
        else if (buffer[frame] === TEXT) {
          if (end < length) this.#rest = buffer.slice(end, length);
          return;
        } else throw new Error(`no session_id: ${decoder.decode(buffer.subarray(frame, length))}`);
      }
    }
  }
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // is closed
  }
}
