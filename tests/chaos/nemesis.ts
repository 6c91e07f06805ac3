/** Does to the cluster what the plan says, and writes down when. */

import { setTimeout as delay } from "node:timers/promises";
import type { CrowdProcess } from "./crowd_process.ts";
import type { Redis } from "../support/redis.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import type { Replicated } from "../support/replicated.ts";
import { failOver, type FailoverKind } from "./failovers.ts";
import type { Event } from "./history.ts";
import { type PlannedFault, subjectOf } from "./plan.ts";
import type { Proxy, WayMode } from "./proxy.ts";
import { now, type Subject } from "./subject.ts";

export class Nemesis {
  /** By what they are done to: when the last fault is over. */
  readonly #busy = new Map<string, Promise<void>>();

  constructor(
    readonly subject: Subject,
    readonly crowds: CrowdProcess[],
    readonly record: (event: Event) => void,
  ) {}

  /**
   * Resolves when every fault of the round is over and mended.
   *
   * @throws what the first has met that could not be done, when all others are over.
   */
  async round(faults: PlannedFault[]): Promise<void> {
    const startedAtMs = performance.now();
    for (const planned of faults) {
      const subject = subjectOf(planned);
      // a start may take longer than planned: the next fault of the same subject waits for it
      const free = this.#busy.get(subject) ?? Promise.resolve();
      this.#busy.set(
        subject,
        free.then(async () => {
          await delay(Math.max(0, startedAtMs + planned.atMs - performance.now()));
          await this.#fault(planned);
        }),
      );
    }
    await Promise.allSettled(this.#busy.values());
    await Promise.all(this.#busy.values());
  }

  async #fault(planned: PlannedFault): Promise<void> {
    const { fault, durationMs, target } = planned;
    const node = this.subject.nodes[target ?? 0]!;
    const at = now();
    switch (fault) {
      case "kill":
        node.kill();
        await delay(durationMs);
        await node.start();
        break;
      case "stop":
        node.signal("SIGSTOP");
        await delay(durationMs);
        node.signal("SIGCONT");
        break;
      case "cut":
      case "stall":
        await onTheWay(node.way!, { kind: fault }, durationMs);
        break;
      case "delay":
        await onTheWay(node.way!, { kind: fault, ms: planned.delayMs! }, durationMs);
        break;
      case "clients-stop": {
        const crowd = this.crowds[target!]!;
        crowd.signal("SIGSTOP");
        await delay(durationMs);
        crowd.signal("SIGCONT");
        break;
      }
      default:
        return await this.#faultOfRedis({ ...planned, fault });
    }
    this.record({ kind: "fault", fault, target, at, until: now() });
  }

  async #faultOfRedis(planned: PlannedFault & { fault: `redis-${string}` }): Promise<void> {
    const { fault, durationMs } = planned;
    const { snapshot } = this.subject;
    const redis = await this.subject.primary();
    if (fault === "redis-rollback") {
      await redis.command("SAVE");
      await delay(durationMs / 2); // the time that is lost; the fault has not begun
    }
    const at = now();
    switch (fault) {
      case "redis-stop":
        redis.freeze();
        await delay(durationMs);
        redis.thaw();
        break;
      case "redis-restart":
        await redis.shutdown();
        await delay(durationMs);
        await redis.restart();
        break;
      case "redis-rollback":
        await redis.kill();
        await delay(durationMs / 2);
        await redis.restart();
        break;
      case "redis-loss":
        await redis.kill();
        await Deno.remove(snapshot).catch(() => {}); // there may be none
        await delay(durationMs);
        await redis.restart();
        break;
      case "redis-flush":
        await redis.command("FLUSHALL");
        break;
      default:
        return await this.#failover(fault, redis, durationMs);
    }
    this.record({ kind: "fault", fault, at, until: now() });
  }

  /** Before anything else is done there are as many replicas again as before. */
  async #failover(fault: FailoverKind, primary: Redis, durationMs: number): Promise<void> {
    const redis = this.subject.redis as Replicated; // only where there are several such a fault is planned
    if (redis instanceof RedisCluster && fault !== "redis-migrate") await redis.pastElection();
    const at = now();
    const { silent, back } = await failOver(fault, redis, primary, durationMs);
    this.record({ kind: "fault", fault, at, until: now(), silent });
    await back?.();
    await redis.complete();
  }
}

async function onTheWay(way: Proxy, mode: WayMode, durationMs: number): Promise<void> {
  way.mode = mode;
  await delay(durationMs);
  way.mode = { kind: "open" };
}
