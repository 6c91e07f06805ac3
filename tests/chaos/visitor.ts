/** One connection of a client, down to the frame: does what its habit says and tells what it sees. */

import { connect, type Socket } from "node:net";
import { encodeFrame, OPCODES } from "../support/raw_websocket.ts";
import type { ClientEvent, Habit } from "./history.ts";
import type { Random } from "./random.ts";

export interface VisitorOptions {
  conn: string;
  client: string;
  /** Index of the server, for the history. */
  server: number;
  port: number;
  habit: Habit;
  /** What it shows to prove that it is this client. */
  token: string | undefined;
  random: Random;
  record: (event: ClientEvent) => void;
  now: () => number;
}

/** `node:net` and not `Deno.connect`: it can reset a connection. */
export class Visitor {
  /** Resolves when the connection is over, whoever ended it. */
  readonly over: Promise<void>;
  readonly #over = Promise.withResolvers<void>();
  readonly #options: VisitorOptions;
  readonly #socket: Socket;
  #head = "";
  #connected = false;
  #rest: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(options: VisitorOptions) {
    this.#options = options;
    this.over = this.#over.promise;
    const { conn, client, server, port, habit } = options;
    options.record({ kind: "connect", at: options.now(), conn, client, server, habit });
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    this.#socket.on("connect", () => this.#ask());
    this.#socket.on("end", () => this.#onEnd("eof"));
    this.#socket.on("error", () => this.#onEnd("reset"));
    this.#socket.on("close", () => this.#onEnd("reset"));
    if (habit === "frozen") this.#socket.pause();
    else this.#socket.on("data", (chunk: Uint8Array) => this.#onData(chunk));
  }

  /** Does what its habit says at the end of its patience. */
  part(): void {
    if (this.#ended) return;
    switch (this.#options.habit) {
      case "half-closes":
        this.#socket.end();
        break;
      case "babbles":
        this.#socket.write(this.#options.random.bytes(this.#options.random.integer(1, 300)));
        break;
      case "leaves":
        this.#send(OPCODES.close, new Uint8Array([0x03, 0xe8]));
        this.#leave();
        break;
      case "drops":
        this.#leave();
        this.#socket.destroy();
        break;
      case "resets":
      case "resets-early":
        this.reset();
        break;
      case "good":
      case "impostor":
      case "mute":
      case "frozen":
        break;
    }
  }

  /** Lets go of the connection, whatever its habit. */
  reset(): void {
    if (this.#ended) return;
    this.#leave();
    this.#socket.resetAndDestroy();
  }

  /** Says something, as a client does to show that it lives. */
  speak(): void {
    if (!this.#ended && this.#connected) this.#send(OPCODES.text, new TextEncoder().encode("hello"));
  }

  #ask(): void {
    const { client, port, habit, token } = this.#options;
    this.#socket.write(
      `GET /?client_id=${client} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c29sbyB0ZXN0IGtleSAxMg==\r\n" +
        (token === undefined ? "" : `Authorization: Bearer ${token}\r\n`) + "\r\n",
    );
    if (habit === "resets-early") this.#socket.write("", () => this.reset());
  }

  #onData(chunk: Uint8Array): void {
    const at = this.#options.now();
    if (!this.#connected) {
      this.#head += Array.from(chunk, (byte) => String.fromCharCode(byte)).join("");
      const end = this.#head.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.#connected = true;
      const status = Number(this.#head.split(" ", 2)[1]);
      this.#options.record({ kind: "answer", at, conn: this.#options.conn, status });
      if (status !== 101) return this.#close();
      chunk = Uint8Array.from(this.#head.slice(end + 4), (char) => char.charCodeAt(0));
    }
    this.#rest = this.#rest.length === 0 ? chunk : Uint8Array.from([...this.#rest, ...chunk]);
    while (this.#takeFrame(at));
  }

  /** All frames of a server are short and not masked. */
  #takeFrame(at: number): boolean {
    const rest = this.#rest;
    const length = (rest[1] ?? 0) & 0x7f;
    if (rest.length < 2 + length) return false;
    const opcode = rest[0]! & 0x0f;
    const payload = rest.slice(2, 2 + length);
    this.#rest = rest.subarray(2 + length);
    this.#onFrame(opcode, payload, at);
    return this.#rest.length >= 2;
  }

  #onFrame(opcode: number, payload: Uint8Array, at: number): void {
    const { conn, habit, record } = this.#options;
    switch (opcode) {
      case OPCODES.text:
        record({ kind: "frame", at, conn, opcode, text: new TextDecoder().decode(payload) });
        break;
      case OPCODES.close:
        record({
          kind: "frame",
          at,
          conn,
          opcode,
          code: payload.length < 2 ? 1005 : (payload[0]! << 8) | payload[1]!,
        });
        if (habit !== "mute") this.#send(OPCODES.close, payload.subarray(0, 2));
        break;
      case OPCODES.ping:
        record({ kind: "frame", at, conn, opcode });
        if (habit !== "mute") this.#send(OPCODES.pong, payload);
        break;
      default:
        record({ kind: "frame", at, conn, opcode });
    }
  }

  #send(opcode: number, payload: Uint8Array): void {
    this.#socket.write(encodeFrame(opcode, payload));
  }

  #leave(): void {
    this.#options.record({ kind: "leave", at: this.#options.now(), conn: this.#options.conn });
  }

  #onEnd(how: "eof" | "reset"): void {
    if (this.#ended) return;
    this.#options.record({ kind: "end", at: this.#options.now(), conn: this.#options.conn, how });
    this.#close();
  }

  #close(): void {
    this.#ended = true;
    this.#socket.destroy();
    this.#over.resolve();
  }
}
