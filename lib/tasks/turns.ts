/**
 * Turns of the event loop: short ones, in which everyone is served once.
 *
 * A read or a write that the system can do at once resolves without the event loop having turned, so a client that
 * always has more to say would be the only one served. Who has been served in this turn therefore stands in line for a
 * later one, and so does who comes when the turn has taken its time; but they go first, so that whoever asks now and then
 * does not wait for those who never stop. One immediate a turn does for all: one for each flush cost a tenth of the
 * requests a second.
 */

import { setImmediate } from "node:timers";

/** How long a turn takes, but for the last who is served in it. */
const TURN_MS = 2;

/** How many are let in from the line at most. How much work they bring is seen only afterwards. */
const MAX_SHARE = 128;

/**
 * How long turns follow each other before the system is asked what has arrived. While an immediate is always due, Deno
 * 2.9.6 asks only every 61 turns, so that 0.4 ms of work a turn made others wait 24 ms.
 */
const ASK_EVERY_MS = 1;

const NOTHING = new Uint8Array(0);

/** First in, first out, at the same cost however many there are. */
class Queue {
  #items: (() => void)[] = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  add(item: () => void): void {
    this.#items.push(item);
  }

  take(): (() => void) | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#taken++];
    if (this.#taken * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return item;
  }
}

let turn = 0;
let willEnd = false;
let startedAtMs = 0;
let askedAtMs = 0;
/** Who has not been served for a turn, and who has. */
const front = new Queue();
const back = new Queue();
/** How many a turn lets in from the line. */
let share = MAX_SHARE;

/** The turn of one who has not been served yet. */
export const NEVER = -1;

/** The number of this turn. */
export function thisTurn(): number {
  if (!willEnd) {
    willEnd = true;
    startedAtMs = performance.now();
    setImmediate(end);
  }
  return turn;
}

/**
 * What to wait for before one is served; undefined: nothing.
 *
 * @param served The turn in which one was served last.
 */
export function turnOf(served: number): Promise<void> | undefined {
  if (served === thisTurn()) return new Promise((resolve) => back.add(resolve));
  if (isOver()) return new Promise((resolve) => front.add(resolve));
}

/** Calls back at once, or in a later turn where one event concerns many, as the end of a task that many wait for. */
export function callInTurn(callback: () => void): void {
  thisTurn();
  if (isOver()) front.add(callback);
  else callback();
}

function isOver(): boolean {
  return performance.now() - startedAtMs > TURN_MS;
}

function end(): void {
  const nowMs = performance.now();
  if (front.length + back.length === 0) {
    askedAtMs = nowMs; // nothing is due, so the system is asked at once
    return begin();
  }
  share = nowMs - startedAtMs > TURN_MS ? Math.max(1, share >> 1) : Math.min(MAX_SHARE, share << 1);
  if (nowMs - askedAtMs > ASK_EVERY_MS) askSystem().then(begin);
  else begin();
}

/** Sleeps until another thread has done next to nothing, 30 µs; on falling asleep the event loop asks the system. */
async function askSystem(): Promise<void> {
  await crypto.subtle.digest("SHA-1", NOTHING);
  askedAtMs = performance.now();
}

function begin(): void {
  willEnd = false;
  turn++;
  if (front.length + back.length > 0) thisTurn();
  for (let i = 0; i < share; i++) (front.take() ?? back.take())?.();
}
