import { messageOf } from "../../../service/errors.ts";
import type { Clock, Timer } from "../../../service/clock.ts";
import { SharedDeadline } from "../../../service/shared_deadline.ts";
import type { Connect, RedisConnection, Reply } from "../../redis_connection.ts";
import { RegistryUnreachableError } from "../registry.ts";

/** The longest wait between attempts to connect. */
const MAX_BACKOFF_MS = 250;

/**
 * A connection that has served for so long was a good one: the next is tried for at once. One that fails sooner was not, though it
 * may have answered: a Redis may accept connections and refuse all that scripts do, or hold half of a slot that is moving.
 */
const GOOD_AFTER_MS = 1_000;

export interface RedisLinkOptions {
  connect: Connect;
  clock: Clock;
  /** How long one command may take. */
  commandTimeoutMs: number;
  /** The texts of all scripts that will be run. */
  scripts: string[];
  /** A connection was made, for the first time or again. */
  onConnected(): void;
  /** The connection is lost; a new one is being made. */
  onLost(error: Error): void;
  /** How long each answered command took. */
  onRoundTrip?(ms: number): void;
}

/**
 * The way to Redis: one connection after the other, each with a number, and a time limit for every command.
 *
 * Scripts are loaded before anything else is sent, and a Redis that has forgotten them (SCRIPT FLUSH) costs the connection:
 * sending a script's text once more would let what was sent behind it overtake.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  /** Our own around every command: the library's covers only those not yet sent. */
  readonly #deadline: SharedDeadline;
  /** By its text, the name under which Redis knows a script. */
  readonly #digests = new Map<string, string>();
  #number = 0;
  #current: RedisConnection | undefined;
  #connected = false;
  #connectedAtMs = 0;
  #attempt = 0;
  #retry: Timer | undefined;
  #lastError: Error | undefined;
  #ending: Promise<void> = Promise.resolve();

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#deadline = new SharedDeadline(options.commandTimeoutMs, "Redis did not answer", options.clock);
  }

  /** Whether commands can be sent. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Grows with each connection that was begun. */
  get connection(): number {
    return this.#number;
  }

  /** Why there is no connection, as far as is known. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Gives the connection up that there may be, and makes another; goes on trying until closed. Returns at once. */
  reconnect(): void {
    this.#attempt = 0;
    this.#connect();
  }

  /** Ends the connection, and the wait before the next attempt where there is none. */
  async close(): Promise<void> {
    this.#giveUp();
    this.#deadline[Symbol.dispose]();
    await this.#ending;
  }

  /** Sends a command. @throws {RegistryUnreachableError} when there is no answer in time. */
  async send<T extends Reply>(...command: string[]): Promise<T> {
    return await this.#limited((connection) => connection.send<T>(...command));
  }

  /** Runs a script. @throws {RegistryUnreachableError} when there is no answer in time. */
  async run<T extends Reply>(script: string, keys: string[], args: string[]): Promise<T> {
    const digest = this.#digests.get(script)!;
    return await this.send<T>("EVALSHA", digest, String(keys.length), ...keys, ...args);
  }

  /** Hears what is published on a channel, until the end of this connection. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    await this.#limited((connection) =>
      connection.subscribe(channel, (message) => {
        if (connection === this.#current) listener(message);
      })
    );
  }

  /** Tells whoever listens on a channel. @throws {RegistryUnreachableError} when there is no answer in time. */
  async publish(channel: string, message: string): Promise<void> {
    await this.#limited((connection) => connection.publish(channel, message));
  }

  #connect(): void {
    this.#giveUp();
    this.#number++;
    const connection: RedisConnection = this.#options.connect((error) => this.#fail(connection, error));
    this.#current = connection;
    this.#prepare(connection).catch((error) => this.#fail(connection, error));
  }

  async #prepare(connection: RedisConnection): Promise<void> {
    await connection.ready;
    // all at once: one round trip, where a failover is to cost a busy machine as little of its lease as can be
    const { scripts } = this.#options;
    const digests = await Promise.all(
      scripts.map((script) => connection.send<string>("SCRIPT", "LOAD", script)),
    );
    scripts.forEach((script, i) => this.#digests.set(script, digests[i]!));
    if (connection !== this.#current) return;
    this.#connected = true;
    this.#connectedAtMs = this.#options.clock.nowMs();
    this.#options.onConnected();
  }

  #fail(connection: RedisConnection, error: Error): void {
    if (connection !== this.#current) return;
    if (this.#connected && this.#options.clock.nowMs() - this.#connectedAtMs >= GOOD_AFTER_MS) {
      this.#attempt = 0;
    }
    this.#giveUp();
    this.#lastError = error;
    const waitMs = Math.min(10 * 2 ** this.#attempt++, MAX_BACKOFF_MS);
    this.#retry = this.#options.clock.after(waitMs, () => this.#connect());
    this.#options.onLost(error);
  }

  #giveUp(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    this.#connected = false;
    const connection = this.#current;
    this.#current = undefined;
    if (connection) this.#ending = Promise.all([this.#ending, connection.destroy()]).then(() => {});
  }

  /** Asks where there is a connection, within the time, and gives a failure the name that callers know. */
  async #limited<T>(ask: (connection: RedisConnection) => Promise<T>): Promise<T> {
    const connection = this.#current;
    if (!connection || !this.#connected) {
      throw new RegistryUnreachableError("Redis is not connected", { cause: this.#lastError });
    }
    const { clock, onRoundTrip } = this.#options;
    const sentAtMs = clock.nowMs();
    try {
      const reply = await this.#deadline.limit(ask(connection));
      onRoundTrip?.(clock.nowMs() - sentAtMs);
      return reply;
    } catch (error) {
      if (/^NOSCRIPT/.test(messageOf(error))) this.#fail(connection, error as Error);
      throw new RegistryUnreachableError(messageOf(error), { cause: error });
    }
  }
}
