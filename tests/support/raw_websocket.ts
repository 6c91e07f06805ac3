/** A WebSocket client down to the frame, for tests that must see when each arrives, or send what no library would. */

import { withDeadline } from "../../lib/service/clock.ts";
import { PATIENCE_MS } from "./wait.ts";

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  opcode: number;
  payload: Uint8Array;
  /** When its last byte was read, by `performance.now()`. */
  atMs: number;
}

export interface FrameOptions {
  /** @default true */
  fin?: boolean;
  /** The three reserved bits, 0 to 7. @default 0 */
  reserved?: number;
  /** @default true */
  masked?: boolean;
  /** Written in the place of the true length. */
  claimedLength?: number;
}

/** The bytes of one frame (RFC 6455, section 5.2). */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  options: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  const { fin = true, reserved = 0, masked = true, claimedLength = payload.length } = options;
  const extended = claimedLength < 126 ? 0 : claimedLength < 65_536 ? 2 : 8;
  const frame = new Uint8Array(2 + extended + (masked ? 4 : 0) + payload.length);
  const view = new DataView(frame.buffer);
  frame[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  frame[1] = (masked ? 0x80 : 0) | (extended === 0 ? claimedLength : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, claimedLength);
  if (extended === 8) view.setBigUint64(2, BigInt(claimedLength));
  frame.set(payload, frame.length - payload.length); // the mask is left at zero, which changes nothing
  return frame;
}

/** The answer of a server to a request, its head only. */
export interface Answer {
  status: number;
  headers: Headers;
}

export class RawWebSocket implements Disposable {
  /** When the server ended the stream, or the connection was reset. */
  readonly gone: Promise<{ atMs: number }>;
  readonly #gone = Promise.withResolvers<{ atMs: number }>();
  readonly #frames: Frame[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #rest: Uint8Array;

  private constructor(
    readonly connection: Deno.TcpConn,
    readonly answer: Answer,
    rest: Uint8Array,
    read: boolean,
    readonly answers: { close: boolean; pings: boolean },
  ) {
    this.gone = this.#gone.promise;
    this.#rest = rest;
    if (read) this.#read();
  }

  /**
   * Connects and sends the upgrade.
   *
   * @param options.read `false` never reads what comes after the answer.
   * @param options.answersClose Whether a close frame is answered with one, as every client should. @default true
   * @param options.answersPings Whether PINGs are answered, as every client should, and kept from the test; `false` hands them
   *   to it. @default true
   * @throws {Error} when the answer is not 101; with `anyStatus` it is the caller's to look at.
   */
  static async connect(
    port: number,
    clientId: string,
    options: {
      read?: boolean;
      anyStatus?: boolean;
      answersClose?: boolean;
      answersPings?: boolean;
      headers?: Record<string, string>;
    } = {},
  ): Promise<RawWebSocket> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    try {
      connection.setNoDelay();
      const headers = {
        Host: `127.0.0.1:${port}`,
        Upgrade: "websocket",
        Connection: "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "c29sbyB0ZXN0IGtleSAxMg==",
        ...options.headers,
      };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      await writeAll(
        connection,
        new TextEncoder().encode(`GET /?client_id=${encodeURIComponent(clientId)} HTTP/1.1\r\n${lines}\r\n`),
      );
      const { answer, rest } = await withDeadline(
        readHead(connection),
        PATIENCE_MS,
        "no answer to the upgrade",
      );
      if (answer.status !== 101 && !options.anyStatus) throw new Error(`upgrade answered ${answer.status}`);
      const answers = { close: options.answersClose ?? true, pings: options.answersPings ?? true };
      return new RawWebSocket(connection, answer, rest, options.read ?? true, answers);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The next frame; `undefined` when the stream has ended. */
  async frame(timeoutMs = PATIENCE_MS): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#ended) {
      const arrived = new Promise<void>((resolve) => this.#wake = resolve);
      await withDeadline(arrived, timeoutMs, "no frame arrived");
    }
    return this.#frames.shift();
  }

  /** The next frame but for PINGs, which come where a busy machine has taken its time. */
  async #message(timeoutMs?: number): Promise<Frame | undefined> {
    while (true) {
      const frame = await this.frame(timeoutMs);
      if (frame?.opcode !== OPCODES.ping) return frame;
    }
  }

  /** The next text, which is the session_id when it is the first. */
  async text(timeoutMs?: number): Promise<{ text: string; atMs: number }> {
    const frame = await this.#message(timeoutMs);
    if (frame?.opcode !== OPCODES.text) throw new Error(`expected a text, got ${describe(frame)}`);
    return { text: new TextDecoder().decode(frame.payload), atMs: frame.atMs };
  }

  /** The close frame, which is to be next. */
  async close(timeoutMs?: number): Promise<{ code: number; reason: string; atMs: number }> {
    const frame = await this.#message(timeoutMs);
    if (frame?.opcode !== OPCODES.close) throw new Error(`expected a close, got ${describe(frame)}`);
    const code = frame.payload.length < 2
      ? 1005
      : new DataView(frame.payload.buffer, frame.payload.byteOffset).getUint16(0);
    return { code, reason: new TextDecoder().decode(frame.payload.subarray(2)), atMs: frame.atMs };
  }

  /** What the PONG says that is to be next. */
  async pong(): Promise<string> {
    const frame = await this.#message();
    if (frame?.opcode !== OPCODES.pong) throw new Error(`expected a PONG, got ${describe(frame)}`);
    return new TextDecoder().decode(frame.payload);
  }

  async send(opcode: number, payload: Uint8Array | string = "", options?: FrameOptions): Promise<void> {
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    await this.write(encodeFrame(opcode, bytes, options));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await writeAll(this.connection, bytes);
  }

  /** Drops the connection without a close frame. */
  [Symbol.dispose](): void {
    this.#end();
    try {
      this.connection.close();
    } catch {
      // closed already
    }
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      this.#parse();
      for (let n; (n = await this.connection.read(buffer)) !== null;) {
        this.#rest = concat(this.#rest, buffer.subarray(0, n));
        this.#parse();
      }
    } catch {
      // reset by the server, or closed by the test
    }
    this.#end();
  }

  #parse(): void {
    const atMs = performance.now();
    for (let frame; (frame = takeFrame(this.#rest)) !== undefined;) {
      const { opcode, payload, size } = frame;
      this.#rest = this.#rest.subarray(size);
      if (opcode === OPCODES.ping && this.answers.pings) {
        this.#answer(OPCODES.pong, payload);
        continue;
      }
      this.#frames.push({ opcode, payload, atMs });
      if (opcode === OPCODES.close && this.answers.close) this.#answer(OPCODES.close, payload);
      this.#wake?.();
    }
  }

  #answer(opcode: number, payload: Uint8Array): void {
    this.send(opcode, payload).catch(() => {}); // the server has ended the connection already
  }

  #end(): void {
    this.#ended = true;
    this.#gone.resolve({ atMs: performance.now() });
    this.#wake?.();
  }
}

/** Sends a request as it is and returns the whole answer as text; for requests that no library would send. */
export async function rawRequest(
  port: number,
  text: string | Uint8Array,
  timeoutMs = PATIENCE_MS,
): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const read = async () => {
    await writeAll(connection, typeof text === "string" ? new TextEncoder().encode(text) : text);
    await connection.closeWrite().catch(() => {});
    let bytes = new Uint8Array();
    const buffer = new Uint8Array(16 * 1024);
    for (let n; (n = await connection.read(buffer).catch(() => null)) !== null;) {
      bytes = concat(bytes, buffer.subarray(0, n));
    }
    return new TextDecoder().decode(bytes);
  };
  return await withDeadline(read(), timeoutMs, "the answer did not end");
}

async function readHead(connection: Deno.Conn): Promise<{ answer: Answer; rest: Uint8Array }> {
  let bytes = new Uint8Array();
  const buffer = new Uint8Array(4096);
  while (true) {
    const text = new TextDecoder("latin1").decode(bytes);
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      const [start = "", ...lines] = text.slice(0, end).split("\r\n");
      const headers = new Headers(
        lines.map((line) => line.split(/: ?(.*)/s).slice(0, 2) as [string, string]),
      );
      return { answer: { status: Number(start.split(" ")[1]), headers }, rest: bytes.slice(end + 4) };
    }
    const n = await connection.read(buffer);
    if (n === null) throw new Error("the server ended the connection before it answered");
    bytes = concat(bytes, buffer.subarray(0, n));
  }
}

/** One whole frame at the start of `bytes`, if it is there; a server never masks. */
function takeFrame(bytes: Uint8Array): { opcode: number; payload: Uint8Array; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let length = bytes[1]! & 0x7f;
  let head = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = view.getUint16(2);
    head = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(view.getBigUint64(2));
    head = 10;
  }
  if (bytes.length < head + length) return undefined;
  return { opcode: bytes[0]! & 0x0f, payload: bytes.slice(head, head + length), size: head + length };
}

/** Writes all of it, however often that has to be asked for. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function describe(frame: Frame | undefined): string {
  return frame
    ? `opcode ${frame.opcode}: ${new TextDecoder().decode(frame.payload)}`
    : "the end of the stream";
}
