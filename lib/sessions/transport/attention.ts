/** How often connections are looked after. */
export const TICK_MS = 250;

/** What a tick may be late for nothing to have piled up. */
const CALM_MS = TICK_MS / 5;

/** A time as a number of ticks. */
export function ticks(ms: number): number {
  return Math.ceil(ms / TICK_MS);
}

/**
 * The time during which a process was attentive, in ticks of one timer for all connections.
 *
 * A tick that comes late counts as one: a peer is not silent while nobody listens, and has not sent too much when what it
 * sent in two seconds is read in one turn.
 */
export class Attention implements Disposable {
  /** Ticks so far. */
  tick = 0;
  /** Those of them in which nothing had piled up. */
  calm = 0;
  readonly #maxMessages: number;
  readonly #onAwake: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #tickedAtMs = performance.now();
  /** How late we are or were, fading as what has piled up is worked off. */
  #lateMs = 0;

  /**
   * @param options.onAwake Called first of all, at each tick and each `awake`.
   * @param options.onTick Looks after the connections.
   */
  constructor(options: { maxMessages: number; onAwake: () => void; onTick: () => void }) {
    this.#maxMessages = options.maxMessages;
    this.#onAwake = options.onAwake;
    this.#timer = setInterval(() => {
      this.awake();
      if (this.#lateMs < CALM_MS) this.calm++;
      this.#lateMs = Math.max(0, this.#lateMs - TICK_MS);
      this.#tickedAtMs = performance.now();
      this.tick++;
      options.onTick();
    }, TICK_MS);
  }

  /** To be called before anything that a peer has sent is looked at. */
  awake(): void {
    this.#onAwake();
    const lateMs = performance.now() - this.#tickedAtMs - TICK_MS;
    if (lateMs > this.#lateMs) this.#lateMs = lateMs;
  }

  /** How many messages of one second may be read within one second. */
  get allowance(): number {
    return this.#maxMessages * (1 + this.#lateMs / 1000);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Counts the messages of one connection, second by second. */
export class MessageCount {
  #sinceMs = 0;
  #messages = 0;

  /** Counts one more. @returns whether it is one too many. */
  exceeds({ allowance }: Attention): boolean {
    const nowMs = Math.trunc(performance.now()); // an integer needs no object of its own
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#messages = 0;
    }
    return ++this.#messages > allowance;
  }
}
