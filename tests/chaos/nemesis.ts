/** Does to the cluster what the plan says, and writes down when. */

import { setTimeout as delay } from "node:timers/promises";
import type { CrowdProcess } from "./crowd_process.ts";
import type { Redis } from "../support/redis.ts";
import type { Sentinels } from "../support/redis_topologies.ts";
import type { Event, FaultKind } from "./history.ts";
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

  /** Resolves when every fault of the round is over and mended. */
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
    await Promise.all(this.#busy.values());
  }

  async #fault(planned: PlannedFault): Promise<void> {
    const { fault, durationMs, target } = planned;
    const { nodes, snapshot } = this.subject;
    const redis = await this.subject.primary();
    if (fault === "redis-rollback") {
      await redis.command("SAVE");
      await delay(durationMs / 2); // the time that is lost; the fault has not begun
    }
    const at = now();
    const node = nodes[target ?? 0]!;
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
      case "redis-failover-death":
      case "redis-failover-stop":
      case "redis-failover-cut":
        return await this.#failover(fault, redis, this.subject.sentinels!);
      case "clients-stop": {
        const crowd = this.crowds[target!]!;
        crowd.signal("SIGSTOP");
        await delay(durationMs);
        crowd.signal("SIGCONT");
        break;
      }
      default:
        fault satisfies never;
    }
    this.record({ kind: "fault", fault, target, at, until: now() });
  }

  /** The fault is over when there is another primary; the old one comes back to be its replica before anything else is done. */
  async #failover(fault: FailoverKind, primary: Redis, sentinels: Sentinels): Promise<void> {
    const at = now();
    if (fault === "redis-failover-death") await primary.kill();
    else if (fault === "redis-failover-stop") primary.freeze();
    else await sentinels.cutOff(primary);
    await sentinels.failover(primary);
    this.record({ kind: "fault", fault, at, until: now() });
    if (fault === "redis-failover-death") await primary.restart();
    else if (fault === "redis-failover-stop") primary.thaw();
    else await sentinels.join(primary);
    await sentinels.complete();
  }
}

type FailoverKind = Extract<FaultKind, `redis-failover-${string}`>;

async function onTheWay(way: Proxy, mode: WayMode, durationMs: number): Promise<void> {
  way.mode = mode;
  await delay(durationMs);
  way.mode = { kind: "open" };
}
