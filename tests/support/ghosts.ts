import { systemClock } from "../../lib/service/clock.ts";
import { redisAt } from "../../lib/sessions/redis_connection.ts";
import { RedisStore } from "../../lib/sessions/registry/redis/redis_store.ts";
import type { Redis } from "./redis.ts";
import { PATIENCE_MS } from "./wait.ts";

/** A node that takes a lease and sessions, and never renews: what a process that has died leaves behind. */
export class GhostNode implements AsyncDisposable {
  readonly node: string = crypto.randomUUID().slice(0, 8);
  readonly #store: RedisStore;
  #generation = "";

  private constructor(store: RedisStore) {
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
    const ghost = new GhostNode(store);
    await ghost.renew(leaseMs);
    return ghost;
  }

  /** Takes the lease that all of the service have. */
  async renew(leaseMs: number): Promise<void> {
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
    this.#generation = reply.generation;
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
    await this.#store.close();
  }
}
