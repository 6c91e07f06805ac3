/** What a service goes through when its Redis fails over. */

import assert from "node:assert/strict";
import type { Coordination } from "../../lib/sessions/coordination.ts";
import type { RedisRegistry } from "../../lib/sessions/registry/redis/redis_registry.ts";
import { listed, TestCandidate } from "./candidate.ts";
import { Follower } from "./follower.ts";
import { joined } from "./joined.ts";
import type { Redis } from "./redis.ts";
import { until } from "./wait.ts";

/** Longer than a failover takes, on any machine. */
const LEASE_MS = 20_000;

/** Two processes of one service, and a client of each. */
export class Service implements AsyncDisposable {
  private constructor(
    readonly here: Coordination<RedisRegistry>,
    readonly there: Coordination<RedisRegistry>,
    readonly kim: TestCandidate,
    readonly lee: TestCandidate,
    readonly follower: Follower,
  ) {}

  static async start(url: string): Promise<Service> {
    const options = { url, leaseMs: LEASE_MS };
    const [here, there] = await Promise.all([joined(options), joined(options)]);
    const [kim, lee] = [new TestCandidate("kim"), new TestCandidate("lee")];
    here.registry.claim(kim);
    there.registry.claim(lee);
    await kim.reaches("established");
    await lee.reaches("established");
    return new Service(here, there, kim, lee, await Follower.start(here));
  }

  /** Nobody was closed, all are listed by each, and clients connect, replace and leave as ever. */
  async goesOn(): Promise<void> {
    const { here, there, kim, lee } = this;
    const stranger = new TestCandidate("stranger");
    there.registry.claim(stranger);
    await stranger.reaches("established");
    for (const { registry } of [here, there]) {
      await until(async () => (await listed(registry)).length === 3, "all are listed");
    }
    assert.deepEqual([kim.events, lee.events], [["established"], ["established"]], "nobody was closed");
    const newer = new TestCandidate("kim");
    there.registry.claim(newer);
    await kim.reaches("revoked");
    assert.equal(kim.reason?.kind, "replaced");
    here.registry.release(kim);
    await newer.reaches("established");
    for (const gone of [newer, lee, stranger]) there.registry.release(gone);
    await until(async () => (await listed(here.registry)).length === 0, "all have left");
    await this.#isFollowed();
  }

  /** Who follows hears of what happens again: of which session first depends on when he was told of the new primary. */
  async #isFollowed(): Promise<void> {
    const { registry } = this.there;
    const probes: TestCandidate[] = [];
    let heard = false;
    const hear = async () => {
      while (!heard) {
        const item = await this.follower.item();
        const events = item.kind === "events" ? item.events : [];
        heard = events.some(({ session }) => probes.some(({ sessionId }) => sessionId === session.sessionId));
      }
    };
    const hearing = hear();
    while (!heard) {
      const probe = new TestCandidate("probe");
      probes.push(probe);
      registry.claim(probe);
      await probe.reaches("established");
      registry.release(probe);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await hearing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.follower[Symbol.asyncDispose]();
    await this.here[Symbol.asyncDispose]();
    await this.there[Symbol.asyncDispose]();
  }
}

/** Waits until this many processes of a service are connected. */
export async function isServed(redis: Redis): Promise<void> {
  await until(
    async () => Number(await redis.command("HLEN", "{solo}:members")) >= 2,
    "both processes have come",
  );
}
