import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * How many sockets may be closed before the next wait for their close frames. The platform (Deno 2.9.6, Tokio beneath it)
 * does at most 128 reads and writes before it looks for what is ready anew; what is beyond that comes later than a wait
 * as short as ours.
 */
export const MAX_CLOSES = 64;

/**
 * Waits until the close frames of at most `MAX_CLOSES` sockets that were just told to close have been written.
 *
 * `WebSocket.close()` only puts its frame in a queue, which the platform works off after the next turn of the event loop;
 * before the turn after that, it is with the kernel. A write to another connection within the first turn overtakes it.
 * There is nothing to be told by: no promise, and `bufferedAmount` is 0 from `close()` on.
 */
export async function closeFramesWritten(): Promise<void> {
  await nextTurn();
  await nextTurn();
}
