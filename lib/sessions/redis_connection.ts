/** How every connection to Redis is made here, whoever needs it, and the little that is asked of one. */

import { createClient, RESP_TYPES } from "@redis/client";

/** How long the making of one connection may take. */
export const CONNECT_TIMEOUT_MS = 2_000;

/** What Redis answers; maps and sets come as flat arrays. */
export type Reply = string | number | null | Reply[];

/**
 * One TCP connection: it is made once, serves until it fails or is destroyed, and never comes back.
 *
 * Commands reach Redis in the order in which they were sent, and their answers and the messages of channels come in one
 * order too: what was said before on a connection has been heard before.
 */
export interface RedisConnection {
  /** Kept when commands can be sent; broken when the connection could not be made. */
  readonly ready: Promise<void>;

  /** Sends a command. Rejects with what Redis says is wrong, and when the connection fails before the answer. */
  send<T extends Reply = Reply>(...command: string[]): Promise<T>;

  /** Hears what is published on a channel, until the end of the connection. */
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;

  /** Ends the connection at once. Safe to call twice. @returns a promise that is kept when nothing of it is left. */
  destroy(): Promise<void>;
}

/**
 * Begins to make a connection.
 *
 * @param onLost Called when the connection cannot be made or fails; not after `destroy`.
 */
export type Connect = (onLost: (error: Error) => void) => RedisConnection;

/** Connections to the Redis at `url`: `redis://` or `rediss://`, with user, password and database where needed. */
export function redisAt(url: string): Connect {
  return (onLost) => {
    const client = createClient({
      url,
      RESP: 3, // messages and replies share one connection, in order: one that lost messages has failed altogether
      maintNotifications: "disabled",
      disableOfflineQueue: true,
      disableClientInfo: true, // one right less for its user to have at Redis
      // Every command has a deadline of ours; the library's own costs a timer each, which lives on after the answer.
      commandOptions: { timeout: undefined },
      // Whoever needs another connection makes one: only so it is known which of them has said what.
      socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false },
    });
    let over = false;
    client.on("error", (error: Error) => {
      if (!over) onLost(error);
    });
    const ready = client.connect().then(() => {});
    ready.catch(() => {}); // told by the listener above
    return {
      ready,
      send: <T extends Reply>(...command: string[]) =>
        client.sendCommand<T>(command, { typeMapping: { [RESP_TYPES.MAP]: Array } }),
      subscribe: (channel, listener) => client.subscribe(channel, listener),
      async destroy() {
        over = true;
        client.destroy();
        await ready.catch(() => {});
      },
    };
  };
}
