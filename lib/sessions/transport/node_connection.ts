import type { Socket } from "node:net";
import { getLogger } from "../../service/log.ts";
import { type Attention, MessageCount, ticks } from "./attention.ts";
import { createReader, createWriter, faultOf, type FrameReader, type FrameWriter } from "./frames.ts";
import {
  CLOSE_TIMEOUT_MS,
  type Connection,
  type ConnectionListener,
  type Delivery,
  type Fault,
  HEARTBEAT_MS,
  MAX_UNSENT_BYTES,
} from "./transport.ts";

const log = getLogger(["solo", "transport"]);

/**
 * What was read at once is looked at in pieces of this size, each in the same turn: a flood of tiny frames is noticed in the
 * first, and the rest is thrown away unread.
 */
const PIECE_BYTES = 4096;

/**
 * What a peer may still send after a fault, to be thrown away. Cut off at once it might never read why: a kernel that holds
 * unread bytes answers with a reset, and the close frame is lost.
 */
const DISCARD_BYTES = 1024 * 1024;

const HEARTBEAT_TICKS = ticks(HEARTBEAT_MS);
const CLOSE_TICKS = ticks(CLOSE_TIMEOUT_MS);

const NOTHING = new Uint8Array();
const TEXT = { binary: false, compress: false, fin: true, mask: false };

/** Leads from a socket and from a reader to their connection: shared functions listen to all of them. */
const CONNECTION = Symbol("connection");
interface Held {
  [CONNECTION]: NodeConnection;
}

/** What connections of one transport share. */
export interface Hub {
  readonly attention: Attention;
  /** The answer to the handshake waits for what will be sent behind it; somebody has to call `flush` in a moment. */
  onHeld(connection: NodeConnection): void;
  /** The socket is closed, and its descriptor free. */
  onGone(connection: NodeConnection): void;
}

/** A WebSocket on a socket of `node:net`, with frames read and written by ws. */
export class NodeConnection implements Connection {
  readonly #hub: Hub;
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  #messages: MessageCount | undefined;
  /** Of the last frame, or of the close frame that was sent. */
  #tick: number;
  #pinged = false;
  /** The socket is corked. */
  #held = true;
  /** The close frame is on its way, or the peer's has come. */
  #closing = false;
  /** The peer's close frame has come. */
  #answered = false;
  /** Nothing that comes is looked at any more. */
  #deaf = false;
  #discarded = 0;
  /** The listener has been told of the end, or has asked for it. */
  #told = false;
  #gone = false;
  #evidence: PromiseWithResolvers<void> | undefined;

  /**
   * @param socket Is corked and has been told 101; nobody else listens to it.
   * @param head What the peer has sent after its request.
   */
  constructor(hub: Hub, socket: Socket, head: Uint8Array, listener: ConnectionListener) {
    this.#hub = hub;
    this.#socket = socket;
    this.#listener = listener;
    this.#tick = hub.attention.tick;
    this.#writer = createWriter(socket);
    this.#reader = createReader();
    (this.#reader as unknown as Held)[CONNECTION] = this;
    (socket as unknown as Held)[CONNECTION] = this;
    this.#reader.on("message", onMessage).on("ping", onPing).on("pong", onMessage)
      .on("conclude", onConclude).on("error", onReaderError);
    socket.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onSocketError);
    if (head.length > 0) socket.unshift(head);
  }

  /** Tells the listener that the connection is there. */
  open(): void {
    guarded(this.#socket as unknown as Held, () => this.#listener.onOpen(this));
    if (this.#held) this.#hub.onHeld(this);
  }

  /** Lets go what was held back for what is sent behind it. */
  flush(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#socket.uncork();
  }

  send(text: string): void {
    if (this.#closing) return;
    this.#writer.send(text, TEXT);
    this.flush();
  }

  deliver(text: string): Promise<Delivery> {
    if (this.#closing || this.#socket.destroyed) return Promise.resolve("closed");
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) return Promise.resolve("full");
    return new Promise((resolve) =>
      this.#writer.send(text, TEXT, (error) => resolve(error ? "unknown" : "sent"))
    );
  }

  close(code: number, reason: string): Promise<void> {
    if (this.#evidence) return this.#evidence.promise;
    if (this.#told || this.#gone) return Promise.resolve();
    this.#told = true;
    this.#evidence = Promise.withResolvers();
    if (!this.#closing) this.#sendClose(code, reason); // else the stream has ended, and its end is near
    return this.#evidence.promise;
  }

  terminate(): void {
    this.#socket.destroy(); // the descriptor is closed when this returns; 'close' follows
  }

  /** Looks after the connection: a heartbeat, or the end of a wait for the peer's close frame. */
  onTick(tick: number): void {
    const passed = tick - this.#tick;
    if (this.#closing) {
      if (passed >= CLOSE_TICKS) this.terminate();
    } else if (passed >= 2 * HEARTBEAT_TICKS) {
      this.#fault("silent");
    } else if (passed >= HEARTBEAT_TICKS && !this.#pinged) {
      this.#pinged = true;
      this.#writer.ping(NOTHING, false);
    }
  }

  #sendClose(code: number | undefined, reason: string | Uint8Array): void {
    this.#closing = true;
    this.#tick = this.#hub.attention.tick;
    this.#writer.close(code, reason, false, () => {
      // With the kernel, or, where this is an error, never: the connection is cut.
      this.#evidence?.resolve();
      if (this.#answered) this.#socket.destroySoon();
      else if (this.#deaf) this.#socket.end(); // no answer will be seen
    });
    this.flush();
  }

  #fault(fault: Fault): void {
    if (fault !== "silent") this.#deaf = true;
    if (this.#closing) this.terminate();
    else this.#listener.onFault(fault);
  }

  onData(bytes: Uint8Array): void {
    this.#hub.attention.awake();
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (this.#deaf) {
        this.#discarded += bytes.length - at;
        if (this.#discarded > DISCARD_BYTES) this.terminate();
        return;
      }
      this.#reader.write(bytes.length <= PIECE_BYTES ? bytes : bytes.subarray(at, at + PIECE_BYTES));
    }
  }

  /** A message, a PING or a PONG. @returns whether it may be answered. */
  onFrame(): boolean {
    if (this.#deaf) return false;
    this.#messages ??= new MessageCount();
    if (this.#messages.exceeds(this.#hub.attention)) this.#fault("too-many");
    if (this.#deaf || this.#closing) return false;
    this.#tick = this.#hub.attention.tick;
    this.#pinged = false;
    return true;
  }

  onPing(data: Uint8Array): void {
    if (!this.onFrame()) return;
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.terminate(); // a close frame would wait behind them
    else this.#writer.pong(data, false);
  }

  onCloseFrame(code: number, reason: Uint8Array): void {
    this.#deaf = true;
    this.#answered = true;
    if (this.#closing) {
      this.#evidence?.resolve();
      this.#socket.destroySoon(); // when all has been sent: RFC 6455, section 7.1.1, has the server end the connection
      return;
    }
    this.#told = true;
    this.#sendClose(code === 1005 ? undefined : code, reason);
    this.#listener.onEnd(code);
  }

  onReaderError(error: Error & { code?: string }): void {
    this.#fault(faultOf(error));
  }

  /** The peer sends nothing any more; there is no WebSocket in one direction. */
  onEndOfStream(): void {
    this.#socket.end();
    if (this.#closing) return;
    this.#closing = true;
    this.#tick = this.#hub.attention.tick; // for one that does not take what is left to be sent
  }

  onClosed(): void {
    this.#gone = true;
    this.#hub.onGone(this);
    this.#evidence?.resolve();
    if (!this.#told) this.#listener.onEnd(1006);
  }
}

function onData(this: Socket & Held, bytes: Uint8Array): void {
  guarded(this, (connection) => connection.onData(bytes));
}

function onEnd(this: Socket & Held): void {
  guarded(this, (connection) => connection.onEndOfStream());
}

function onClose(this: Socket & Held): void {
  guarded(this, (connection) => connection.onClosed());
}

/** What is wrong with a socket ends it, and 'close' follows. */
function onSocketError(): void {}

function onMessage(this: FrameReader & Held): void {
  guarded(this, (connection) => connection.onFrame());
}

function onPing(this: FrameReader & Held, data: Uint8Array): void {
  guarded(this, (connection) => connection.onPing(data));
}

function onConclude(this: FrameReader & Held, code: number, reason: Uint8Array): void {
  guarded(this, (connection) => connection.onCloseFrame(code, reason));
}

function onReaderError(this: FrameReader & Held, error: Error): void {
  guarded(this, (connection) => connection.onReaderError(error));
}

/** An error of ours ends the one connection; thrown further it would end the process, and those of everybody else. */
function guarded({ [CONNECTION]: connection }: Held, act: (connection: NodeConnection) => void): void {
  try {
    act(connection);
  } catch (error) {
    log.error("a connection ends over {error}", { error });
    connection.terminate();
  }
}
