/** How every connection to Redis is made here, whoever needs it, and the little that is asked of one. */

import { DisconnectsClientError, RESP_TYPES } from "@redis/client";
import { addressText } from "../service/address.ts";
import { messageOf } from "../service/errors.ts";
import { parseRedisAddress, type RedisAddress } from "./redis_address.ts";
import {
  type Client,
  endClient,
  type FindPrimary,
  newClient,
  type Primary,
  primaryOf,
} from "./redis_primary.ts";
import { RedisSetupError, setupError } from "./redis_setup_error.ts";

/** What Redis answers; maps and sets come as flat arrays. */
export type Reply = string | number | null | Reply[];

/**
 * One TCP connection to the primary: it is made once, serves until it fails or is destroyed, and never comes back.
 *
 * Commands reach Redis in the order in which they were sent, and their answers and the messages of channels come in one
 * order too: what was said before on a connection has been heard before. A connection to a Redis that is not the primary, or
 * no longer, has failed.
 */
export interface RedisConnection {
  /** Kept when commands can be sent; broken when the connection could not be made. */
  readonly ready: Promise<void>;

  /** Sends a command. Rejects with what Redis says is wrong, and when the connection fails before the answer. */
  send<T extends Reply = Reply>(...command: string[]): Promise<T>;

  /** Hears what is published on a channel, until the end of the connection. */
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;

  /** Tells whoever listens on a channel. */
  publish(channel: string, message: string): Promise<void>;

  /** Ends the connection at once. Safe to call twice. @returns a promise that is kept when nothing of it is left. */
  destroy(): Promise<void>;
}

/**
 * Begins to make a connection.
 *
 * @param onLost Called when the connection cannot be made or fails; not after `destroy`.
 */
export type Connect = (onLost: (error: Error) => void) => RedisConnection;

/**
 * Connections to the Redis at an address, see redis_address.ts; where it has several, to the primary that they name.
 *
 * @param key One of those that will be used; in a cluster all of them have to be in its slot.
 * @throws {TypeError} when the address is none.
 */
export function redisAt(url: string, key: string): Connect {
  const address = parseRedisAddress(url);
  const find = primaryOf(address, key);
  return (onLost) => new PrimaryConnection(address, find, onLost);
}

/**
 * What a Redis answers that cannot be written to now: a replica, a primary without its replicas, or one that has given the
 * slot to another or is about to. Redis 6 puts it behind a minus in the error of a script.
 */
const NOT_THE_PRIMARY =
  /(?:^|-)(?:READONLY|NOREPLICAS|MASTERDOWN|LOADING|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|UNBLOCKED) /;

/**
 * How often Sentinels are asked whether there is another primary. One that was replaced while it was out of their reach is
 * not told so by anyone, and would take the writes of all who still reach it.
 */
const LOOK_EVERY_MS = 1_000;

class PrimaryConnection implements RedisConnection {
  readonly ready: Promise<void>;
  readonly #address: RedisAddress;
  readonly #find: FindPrimary;
  readonly #onLost: (error: Error) => void;
  readonly #end = new AbortController();
  #client: Client | undefined;
  /** Whether channels belong to slots, as keys do. */
  #sharded = false;
  #over = false;
  #nextLook: ReturnType<typeof setTimeout> | undefined;

  constructor(address: RedisAddress, find: FindPrimary, onLost: (error: Error) => void) {
    this.#address = address;
    this.#find = find;
    this.#onLost = onLost;
    this.ready = this.#connect();
    this.ready.catch((error) => this.#fail(error));
  }

  async send<T extends Reply>(...command: string[]): Promise<T> {
    return await this.#ask((client) =>
      client.sendCommand<T>(command, { typeMapping: { [RESP_TYPES.MAP]: Array } })
    );
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    // lua/shared.lua publishes by the same rule; both look at the Redis that this connection is to
    await this.#ask((client) =>
      this.#sharded ? client.sSubscribe(channel, listener) : client.subscribe(channel, listener)
    );
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#ask((client) =>
      this.#sharded ? client.sPublish(channel, message) : client.publish(channel, message)
    );
  }

  async destroy(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#nextLook);
    this.#end.abort();
    if (this.#client) endClient(this.#client);
    await this.ready.catch(() => {});
  }

  async #connect(): Promise<void> {
    const primary = await this.#find(this.#end.signal);
    this.#end.signal.throwIfAborted();
    const { kind, tls, username, password, database } = this.#address;
    const { host, port } = primary;
    const client = newClient({ host, port, tls, username, password, database });
    this.#client = client;
    await client.connect().catch((error) => {
      throw this.#named(setupError(error, host, tls, kind), primary);
    });
    client.on("error", (error: Error) => this.#fail(error));
    this.#end.signal.throwIfAborted();
    const info = await client.info();
    if (!info.includes("role:master")) throw new Error(`the Redis at ${host}:${port} is a replica`);
    this.#sharded = Number(info.match(/^redis_version:(\d+)/m)?.[1]) >= 7;
    this.#lookAgain(primary);
  }

  /** An error of its making, where others have named it with its address: the operator did not write that. */
  #named(error: unknown, { host, port }: Primary): unknown {
    if (this.#address.kind === "single" || !(error instanceof RedisSetupError)) return error;
    const { problem, advice, cause } = error;
    return new RedisSetupError(
      `the primary is said to be ${addressText(host, port)}, and ${problem}`,
      advice,
      { cause },
    );
  }

  /** Looks whether it is still the primary; where nobody can tell it is. */
  #lookAgain(primary: Primary): void {
    if (this.#address.kind !== "sentinel" || this.#over) return;
    this.#nextLook = setTimeout(async () => {
      const now = await this.#find(this.#end.signal).catch(() => primary);
      if (now.epoch > primary.epoch && (now.host !== primary.host || now.port !== primary.port)) {
        return this.#fail(new Error(`the primary is now at ${now.host}:${now.port}`));
      }
      this.#lookAgain(primary);
    }, LOOK_EVERY_MS);
  }

  async #ask<T>(question: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await question(this.#client!);
    } catch (error) {
      if (error instanceof DisconnectsClientError) {
        throw new Error("Redis did not answer before its connection was given up", { cause: error });
      }
      if (NOT_THE_PRIMARY.test(messageOf(error))) this.#fail(error as Error);
      throw error;
    }
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#client) endClient(this.#client); // whoever waits for an answer hears of it
    this.#onLost(error);
  }
}
