import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../lib/service/clock.ts";
import { redisAt } from "../../lib/sessions/redis_connection.ts";
import { RedisStore } from "../../lib/sessions/registry/redis/redis_store.ts";
import type { Redis } from "./redis.ts";
import { PATIENCE_MS } from "./wait.ts";

/** A node that takes a lease and sessions, and leaves them behind when it dies. Of its sessions it never speaks again. */
export class GhostNode implements AsyncDisposable {
  readonly node: string = crypto.randomUUID().slice(0, 8);
  readonly #redis: Redis;
  readonly #store: RedisStore;
  #generation = "";
  readonly #death = new AbortController();
  #life: Promise<void> = Promise.resolve();

  private constructor(redis: Redis, store: RedisStore) {
    this.#redis = redis;
    this.#store = store;
  }

  static async start(redis: Redis, leaseMs: number): Promise<GhostNode> {
    const connected = Promise.withResolvers<void>();
    const store = new RedisStore({
      connect: redisAt(redis.url, "{solo}"),
      clock: systemClock,
      prefix: "solo",
      commandTimeoutMs: PATIENCE_MS,
      takeoverLimit: 0,
      onConnected: connected.resolve,
      onLost: connected.reject,
    });
    store.reconnect();
    await connected.promise;
    const ghost = new GhostNode(redis, store);
    await ghost.#renew(leaseMs);
    await ghost.#renew(leaseMs); // with that it has been told of every other, who wait for it
    ghost.#life = ghost.#live(leaseMs);
    ghost.#life.catch(() => {}); // who waits for its death sees the error
    return ghost;
  }

  /** Until it dies it has a lease, however long a test takes to prepare its death. */
  async #live(leaseMs: number): Promise<void> {
    const { signal } = this.#death;
    while (!signal.aborted) {
      await delay(leaseMs / 20, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await this.#renew(leaseMs);
    }
  }

  /** From now on its lease runs out. */
  async die(): Promise<void> {
    this.#death.abort();
    await this.#life;
  }

  /** It has died, and its lease is over: with that nobody has to wait for it, and leases can be long for those that live. */
  async expire(): Promise<void> {
    await this.die();
    await this.#redis.endLease(this.node);
  }

  /** Takes the lease that all of the service have. */
  async #renew(leaseMs: number): Promise<void> {
    const reply = await this.#store.renew({
      node: this.node,
      leaseMs,
      connection: this.#store.connection,
      mode: this.#generation === "" ? "join" : "joining",
      generation: this.#generation,
      joins: "1000", // it has been told of every other
      nodes: [],
      epochUs: 0,
      formerNode: "",
    });
    if (reply.answer !== "held") throw new Error(`a ghost was answered ${reply.answer}`);
    this.#generation ||= reply.generation; // in a later one it announces nothing
  }

  /** Takes a session, or lets another node have one that it knows nothing of. */
  async claim(clientId: string): Promise<void> {
    const { answer } = await this.#store.claim({
      clientId,
      sessionId: crypto.randomUUID(),
      node: this.node,
      connectedAtMs: Date.now(),
      takesOver: true,
      epoch: "",
      established: false,
      generation: this.#generation,
      connection: this.#store.connection,
      validUntilMs: Date.now() + PATIENCE_MS,
    });
    if (answer !== "established") throw new Error(`a ghost was answered ${answer}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#death.abort();
    await this.#life.catch(() => {}); // of no matter any more
    await this.#store.close();
  }
}
