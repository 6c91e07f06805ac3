import { getLogger } from "../../service/log.ts";
import { type Attention, MessageCount } from "./attention.ts";
import { Deliveries } from "./deno_deliveries.ts";
import { terminate } from "./deno_terminate.ts";
import {
  type Connection,
  type ConnectionListener,
  type Delivery,
  type Fault,
  MAX_MESSAGE_BYTES,
} from "./transport.ts";

const log = getLogger(["solo", "transport"]);

/** What connections of one transport share. */
export interface Hub {
  readonly attention: Attention;
  onOpen(connection: DenoConnection): void;
  /** The close frame is on its way; the end is to be looked after. */
  onClosing(connection: DenoConnection): void;
  /** The socket is closed, and its descriptor free. */
  onGone(connection: DenoConnection): void;
}

/**
 * A WebSocket of `Deno.upgradeWebSocket`.
 *
 * It listens to its events itself, as an object: ten thousand idle connections should not cost forty thousand closures.
 */
export class DenoConnection implements Connection {
  /** When the upgrade began, in ticks; or the close frame was given to the platform, in calm ticks. */
  since: number;
  readonly #hub: Hub;
  readonly #socket: WebSocket;
  readonly #listener: ConnectionListener;
  #messages: MessageCount | undefined;
  #deliveries: Deliveries | undefined;
  /** The listener has been told of the end, or has asked for it; or it knows of no connection yet. */
  #told = true;
  /** Cut: the socket must not be touched any more. */
  #cut = false;
  #gone = false;
  #evidence: PromiseWithResolvers<void> | undefined;

  constructor(hub: Hub, socket: WebSocket, listener: ConnectionListener) {
    this.#hub = hub;
    this.#socket = socket;
    this.#listener = listener;
    this.since = hub.attention.tick;
    socket.binaryType = "arraybuffer";
    for (const type of ["open", "message", "close", "error"]) socket.addEventListener(type, this);
  }

  send(text: string): void {
    if (this.#isOpen) this.#socket.send(text);
  }

  deliver(text: string): Promise<Delivery> {
    if (!this.#isOpen) return Promise.resolve("closed");
    this.#deliveries ??= new Deliveries({
      socket: this.#socket,
      isOpen: () => this.#isOpen,
      onStuck: () => this.#fault("silent"),
    });
    return this.#deliveries.add(text);
  }

  /**
   * Nothing tells when the close frame is with the kernel: "two turns later" is false under load, by seconds. So the
   * evidence is the `close` event, which comes when the peer has answered, or the cut of a peer that does not. While
   * thousands are closed at once the platform still writes the frame of one that was cut, so nobody is cut before there
   * has been calm enough for all of them to have left. Where a message or a PONG has arrived and not been told yet, the
   * platform drops the connection instead, and the frame is never sent.
   */
  close(code: number, reason: string): Promise<void> {
    if (this.#evidence) return this.#evidence.promise;
    if (this.#told || this.#gone) return Promise.resolve();
    this.#told = true;
    this.#evidence = Promise.withResolvers();
    if (!this.#cut) this.#socket.close(code, reason);
    this.since = this.#hub.attention.calm;
    this.#hub.onClosing(this);
    return this.#evidence.promise;
  }

  terminate(): void {
    if (this.#cut || this.#gone) return;
    this.#cut = terminate(this.#socket);
    if (this.#cut) return; // `close` follows
    // A runtime that cannot cut: the peer is asked to leave, and its end is taken for evident though it is not.
    this.#socket.close();
    this.#end(1006);
  }

  /** An error that left here would end the process, with the connections of everybody else. */
  handleEvent(event: Event): void {
    try {
      this.#onEvent(event);
    } catch (error) {
      log.error("a connection ends over {error}", { error });
      this.terminate();
    }
  }

  #onEvent(event: Event): void {
    switch (event.type) {
      case "open":
        this.#told = false;
        this.#hub.onOpen(this);
        this.#listener.onOpen(this);
        break;
      case "message":
        this.#hub.attention.awake();
        this.#messages ??= new MessageCount();
        if (this.#messages.exceeds(this.#hub.attention)) this.#fault("too-many");
        else if (byteLengthOver((event as MessageEvent).data, MAX_MESSAGE_BYTES)) this.#fault("too-big");
        break;
      case "close": // comes twice when the platform's own idle timeout has closed
        if (this.#gone) return;
        this.#gone = true;
        this.#hub.onGone(this);
        this.#end((event as CloseEvent).code || 1006); // 0: the stream ended without a close frame
        break;
      case "error":
        log.debug("a connection fails: {error}", { error: (event as ErrorEvent).message });
    }
  }

  /** Whether the socket may be asked for anything. */
  get #isOpen(): boolean {
    return !this.#cut && this.#socket.readyState === WebSocket.OPEN;
  }

  #end(code: number): void {
    this.#evidence?.resolve();
    if (this.#told) return;
    this.#told = true;
    this.#listener.onEnd(code);
  }

  #fault(fault: Fault): void {
    if (this.#told) this.terminate();
    else this.#listener.onFault(fault);
  }
}

/**
 * Whether a message is longer than `limit`; the text is not encoded when its length alone decides.
 *
 * @param data `null` is no message: the platform (Deno 2.9.6) makes one of a text that comes in the very turn in which its
 *   idle timeout has closed the socket.
 */
function byteLengthOver(data: string | ArrayBuffer | null, limit: number): boolean {
  if (data === null) return false;
  if (typeof data !== "string") return data.byteLength > limit;
  if (data.length * 3 <= limit) return false;
  return data.length > limit || new TextEncoder().encode(data).length > limit;
}
