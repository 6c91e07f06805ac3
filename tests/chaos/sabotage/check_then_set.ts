/** A store whose claim is two steps, see who is there and then take the place: two at a time see the same. */

import { createClient } from "@redis/client";
import {
  type ClaimReply,
  type Holder,
  parseLine,
  RedisStore as Right,
  type RedisStoreOptions,
} from "../../../lib/sessions/registry/redis/redis_store.ts";

export * from "../../../lib/sessions/registry/redis/redis_store.ts";

/** A hash `client_id -> line` of one holder. */
const OWNERS = "owners";

export class RedisStore extends Right {
  readonly #client: ReturnType<typeof createClient>;
  readonly #prefix: string;
  readonly #connected: Promise<unknown>;

  constructor(options: RedisStoreOptions) {
    super(options);
    this.#prefix = options.prefix;
    this.#client = createClient({
      url: options.url,
      maintNotifications: "disabled",
      disableOfflineQueue: true,
    });
    this.#client.on("error", () => {});
    this.#connected = this.#client.connect();
  }

  override async claim(place: Parameters<Right["claim"]>[0]): Promise<ClaimReply> {
    const { clientId, sessionId, node, connectedAtMs } = place;
    await this.#connected;
    const owner = await this.#owner(clientId);
    const epoch = place.epoch || String(Date.now() * 1000);
    const reply: ClaimReply = { answer: "established", epoch, newestSessionId: sessionId, newestNode: node };
    if (place.established && owner) return reply;
    await this.#client.hSet(OWNERS, clientId, `${sessionId} ${node} ${epoch} ${connectedAtMs} e`);
    if (owner && owner.sessionId !== sessionId) {
      const evict = `evict ${owner.sessionId} ${sessionId} ${node} ${clientId}`;
      await this.#client.publish(`${this.#prefix}:node:${owner.node}`, evict);
    }
    return reply;
  }

  override async release(clientId: string, sessionId: string): Promise<boolean> {
    const owner = await this.#owner(clientId);
    return owner?.sessionId === sessionId && await this.#client.hDel(OWNERS, clientId) === 1;
  }

  override async *lines(): AsyncGenerator<Holder[][]> {
    const owners = await this.#client.hGetAll(OWNERS);
    yield Object.entries(owners).map(([clientId, line]) => parseLine(clientId, line));
  }

  override async close(): Promise<void> {
    this.#client.destroy();
    await super.close();
  }

  async #owner(clientId: string): Promise<Holder | undefined> {
    const line = await this.#client.hGet(OWNERS, clientId);
    return line ? parseLine(clientId, line)[0] : undefined;
  }
}
