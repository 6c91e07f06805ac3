/**
 * Turns of the event loop, in which everyone is served once.
 *
 * A read or a write that the system can do at once resolves without the event loop having turned, so a client that
 * always has more to say would be the only one served. Who has been served in this turn waits for the next one. One
 * immediate a turn does for all who wait: one for each flush cost a tenth of the requests a second.
 */

import { setImmediate } from "node:timers";

/** How many are called in one turn where one event concerns many, such as the end of a task that many wait for. */
const MAX_CALLS = 100;

let turn = 0;
let willEnd = false;
let next: PromiseWithResolvers<void> | undefined;
let calls = 0;
const backlog: (() => void)[] = [];

/** The number of this turn. */
export function thisTurn(): number {
  if (!willEnd) {
    willEnd = true;
    setImmediate(end);
  }
  return turn;
}

/** Resolves in the next turn, when all others have had theirs. */
export function nextTurn(): Promise<void> {
  thisTurn();
  next ??= Promise.withResolvers();
  return next.promise;
}

/** Calls back at once, or in a later turn where many have been called in this one already. */
export function callInTurn(callback: () => void): void {
  thisTurn();
  if (calls < MAX_CALLS) {
    calls++;
    callback();
  } else {
    backlog.push(callback);
  }
}

function end(): void {
  willEnd = false;
  turn++;
  const waiting = next;
  next = undefined;
  waiting?.resolve();
  const due = backlog.splice(0, MAX_CALLS);
  calls = due.length;
  for (const callback of due) callback();
  if (backlog.length > 0) thisTurn();
}
