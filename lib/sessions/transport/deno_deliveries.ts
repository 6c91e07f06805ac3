import { type Delivery, HEARTBEAT_MS, MAX_UNSENT_BYTES } from "./transport.ts";

/** How long it waits before it looks again whether the kernel has taken something: longer each time. */
const FIRST_LOOK_MS = 1;
const LONGEST_LOOK_MS = 250;

/**
 * A peer that takes nothing for this long is silent. The platform (Deno 2.9.6) would never say so: its idle timeout waits for
 * a write that is under way.
 */
const STUCK_MS = 2 * HEARTBEAT_MS;

/**
 * Texts that are given to a WebSocket of the platform, and the evidence that the kernel has taken them.
 *
 * Nothing tells of a write that is done, but `bufferedAmount` falls as it is (Deno 2.9.6: by the whole of a message, when the
 * operating system has taken the last byte of its frame; a peer that reads nothing leaves it where it is). So it is looked at
 * while something waits, and at no other time.
 */
export class Deliveries {
  readonly #options: { socket: WebSocket; isOpen: () => boolean; onStuck: () => void };
  /** What was sent from the first delivery on, bytes; and how much of it the kernel had taken at the last look. */
  #sent = 0;
  #taken = 0;
  #takenAtMs = 0;
  readonly #waiting: { upTo: number; resolve: (delivery: Delivery) => void }[] = [];

  /**
   * @param options.isOpen Whether the socket may be touched.
   * @param options.onStuck The peer takes nothing.
   */
  constructor(options: { socket: WebSocket; isOpen: () => boolean; onStuck: () => void }) {
    this.#options = options;
  }

  /** Sends a text, on a socket that is open. */
  add(text: string): Promise<Delivery> {
    const { socket } = this.#options;
    const before = socket.bufferedAmount;
    if (before > MAX_UNSENT_BYTES) return Promise.resolve("full");
    if (this.#waiting.length === 0) {
      this.#sent = before; // what was sent by other ways counts from here
      this.#taken = 0;
      this.#takenAtMs = performance.now();
    }
    socket.send(text);
    this.#sent += socket.bufferedAmount - before;
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    this.#waiting.push({ upTo: this.#sent, resolve });
    if (this.#waiting.length === 1) this.#look(FIRST_LOOK_MS);
    return promise;
  }

  #look(afterMs: number): void {
    setTimeout(() => {
      const { socket, isOpen, onStuck } = this.#options;
      if (!isOpen()) {
        for (const { resolve } of this.#waiting.splice(0)) resolve("unknown");
        return;
      }
      const taken = this.#sent - socket.bufferedAmount;
      if (taken > this.#taken) this.#takenAtMs = performance.now();
      this.#taken = taken;
      while (this.#waiting.length > 0 && this.#waiting[0]!.upTo <= taken) {
        this.#waiting.shift()!.resolve("sent");
      }
      if (this.#waiting.length === 0) return;
      if (performance.now() - this.#takenAtMs > STUCK_MS) onStuck(); // and it is not open any more
      this.#look(Math.min(2 * afterMs, LONGEST_LOOK_MS));
    }, afterMs);
  }
}
