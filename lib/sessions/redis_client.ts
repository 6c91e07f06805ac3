/** How every connection to Redis is made here, whoever needs it. */

import { createClient, type RedisScripts } from "@redis/client";

/** Waits between attempts to connect. */
const MAX_BACKOFF_MS = 250;

/** How long the making of one connection may take. */
export const CONNECT_TIMEOUT_MS = 2_000;

/**
 * A client that has yet to `connect`.
 *
 * @param onError Hears of every failure of the connection; without a listener one would end the process.
 * @param options.mends Whether it connects again by itself.
 * @param options.scripts Methods that it gets beside the commands.
 */
// deno-lint-ignore explicit-function-return-type -- the type of a client is spelled by its library alone
export function redisClient<S extends RedisScripts = Record<string, never>>(
  url: string,
  onError: (error: Error) => void,
  { mends, scripts }: { mends: boolean; scripts?: S },
) {
  return createClient({
    url,
    RESP: 3, // messages and replies share one connection, in order: one that lost messages has failed altogether
    maintNotifications: "disabled",
    disableOfflineQueue: true,
    disableClientInfo: true, // the names of a library: one more right for the user to have, or refusals in Redis's log
    scripts,
    // Every command has a deadline of ours; the library's own costs a timer each, which lives on after the answer.
    commandOptions: { timeout: undefined },
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: mends && ((attempt) => Math.min(10 * 2 ** attempt, MAX_BACKOFF_MS)),
    },
  }).on("error", onError);
}
