/** A WebSocket client that does no more than a measurement needs, so that it costs the machine little. */

const encoder = new TextEncoder();

/** Masked, as a client's must be; the mask is zero. */
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);
const CLOSE_1000 = Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8);

/** A text frame with a UUID ends the answer of a server that has established the session. */
const UUID_FRAME = [0x81, 36] as const;
const UUID_FRAME_LENGTH = 38;

const OPCODE_CLOSE = 0x88;
const OPCODE_PING = 0x89;

/** Shared by all clients of the process: nothing that was read is kept. */
const scratch = new Uint8Array(4096);

export class LoadClient {
  private constructor(readonly conn: Deno.TcpConn) {}

  /**
   * Connects and waits for the session_id.
   *
   * @throws when the server answers anything else.
   */
  static async connect(port: number, clientId: string): Promise<LoadClient> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    try {
      await conn.write(encoder.encode(
        `GET /?client_id=${clientId} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: Upgrade\r\n` +
          "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      ));
      const buffer = new Uint8Array(512);
      for (let length = 0;;) {
        const count = await conn.read(buffer.subarray(length));
        if (!count) throw new Error(`no session_id: ${new TextDecoder().decode(buffer.subarray(0, length))}`);
        length += count;
        const frame = length - UUID_FRAME_LENGTH;
        if (buffer[frame] === UUID_FRAME[0] && buffer[frame + 1] === UUID_FRAME[1]) break;
      }
      return new LoadClient(conn);
    } catch (error) {
      conn.close();
      throw error;
    }
  }

  /** Answers every PING until the server closes; returns its close code, 0 where it just left. */
  async hold(): Promise<number> {
    const buffer = new Uint8Array(128); // the server's frames are small and come one at a time
    let code = 0;
    try {
      for (let count; (count = await this.conn.read(buffer)) !== null;) {
        if (buffer[0] === OPCODE_PING) await this.conn.write(PONG);
        else if (buffer[0] === OPCODE_CLOSE && count >= 4) {
          code = buffer[2]! << 8 | buffer[3]!;
          break;
        }
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
    try {
      this.conn.close();
    } catch {
      // is closed
    }
  }
}
