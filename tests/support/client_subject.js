// @ts-check
/**
 * A reference client with a clock and dice of its own, moved from outside step by step. Plain JavaScript without
 * imports: it runs in Deno, Node and a browser alike.
 */

/**
 * @typedef {object} SubjectOptions
 * @property {string} url
 * @property {string} [clientId]
 * @property {string} [token]
 * @property {string[]} [tokens] what a function gives for one connection after the other
 * @property {number} [die] what each throw of the dice gives, from 0 to 1; 0.5 if not given
 */

/** @typedef {["session", string] | ["message", string] | ["end", { code: number, reason: string, waitMs?: number }]} SubjectEvent */

export class Subject {
  /** @type {Map<number, { dueMs: number, call: () => void }>} */
  #timers = new Map();
  #lastTimer = 0;
  #nowMs = 0;
  /** @type {SubjectEvent[]} */
  #events = [];
  #wake = () => {};
  #handle;

  /**
   * @param {typeof import("../../lib/sessions/page/client.js").connect} connect
   * @param {SubjectOptions} options
   */
  constructor(connect, { url, clientId, token, tokens, die = 0.5 }) {
    const setTimeout = (
      /** @type {(...args: any[]) => void} */ call,
      ms = 0,
      /** @type {any[]} */ ...args
    ) => {
      // "as soon as may be" is no wait
      if (ms === 0) return globalThis.setTimeout(call, 0, ...args);
      this.#timers.set(++this.#lastTimer, { dueMs: this.#nowMs + ms, call: () => call(...args) });
      return this.#lastTimer;
    };
    const clearTimeout = (/** @type {number} */ timer) => void this.#timers.delete(timer);
    const Date = { now: () => this.#nowMs };
    const Math = Object.create(globalThis.Math, { random: { value: () => die } });
    this.#handle = connect(url, {
      clientId,
      token: tokens ? () => Promise.resolve(tokens.shift() ?? "none left") : token,
      onSession: (sessionId) => this.#tell(["session", sessionId]),
      onMessage: (text) => this.#tell(["message", text]),
      onEnd: (end) => this.#tell(["end", end]),
    }, /** @type {any} */ ({ WebSocket, setTimeout, clearTimeout, Date, Math }));
  }

  /** @param {SubjectEvent} event */
  #tell(event) {
    this.#events.push(event);
    this.#wake();
  }

  /** What the client tells next. */
  async next() {
    while (this.#events.length === 0) await new Promise((resolve) => this.#wake = () => resolve(undefined));
    return this.#events.shift();
  }

  /** What it has told and nobody has asked for. */
  untold() {
    return this.#events;
  }

  /** In how many ms its timers are due: where there is none, it will do nothing more by itself. */
  timers() {
    return [...this.#timers.values()].map(({ dueMs }) => dueMs - this.#nowMs);
  }

  /**
   * Lets time pass.
   *
   * @param {number} ms
   */
  advance(ms) {
    const endMs = this.#nowMs + ms;
    for (let timer; (timer = this.#earliest(endMs)) !== undefined;) {
      this.#nowMs = Math.max(this.#nowMs, timer[1].dueMs);
      this.#timers.delete(timer[0]);
      timer[1].call();
    }
    this.#nowMs = endMs;
  }

  /**
   * Lets time pass as it does for a machine that sleeps: all timers are late.
   *
   * @param {number} ms
   */
  sleep(ms) {
    this.#nowMs += ms;
    this.advance(0);
  }

  close() {
    this.#handle.close();
  }

  /** @param {number} atMs */
  #earliest(atMs) {
    return [...this.#timers].filter(([, { dueMs }]) => dueMs <= atMs).sort((a, b) =>
      a[1].dueMs - b[1].dueMs
    )[0];
  }
}
