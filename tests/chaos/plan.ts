/** What will be done to the cluster, and when: the same for the same seed. */

import type { FaultKind } from "./history.ts";
import { Random } from "./random.ts";

/**
 * How Redis is run: one of its own behind a way for each server, a primary with replicas that Sentinels watch, or a cluster
 * of three shards.
 */
export const TOPOLOGIES = ["single", "sentinel", "cluster"] as const;
export type Topology = typeof TOPOLOGIES[number];

export interface PlannedFault {
  fault: FaultKind;
  /** From the start of its round. */
  atMs: number;
  durationMs: number;
  /** The server, or the process of clients. */
  target?: number;
  /** Added to the way of each chunk between the server and Redis, for "delay". */
  delayMs?: number;
}

export interface PlanOptions {
  seed: string;
  durationMs: number;
  leaseMs: number;
  servers: number;
  /** Processes of clients that may be stopped. */
  crowds: number;
  topology: Topology;
}

/** How long the faults of one round go on, in leases; a quiet phase of about two leases follows each. */
export const ROUND_LEASES = 2.5;
export const QUIET_LEASES = 2;

/** How often each fault is chosen; all others never. */
const WEIGHTS: Readonly<Record<Topology, Partial<Record<FaultKind, number>>>> = {
  single: {
    kill: 3,
    stop: 4,
    cut: 2,
    stall: 3,
    delay: 2,
    "redis-stop": 2,
    "redis-restart": 1,
    "redis-rollback": 2,
    "redis-loss": 2,
    "redis-flush": 2,
    "clients-stop": 1,
  },
  sentinel: {
    kill: 2,
    stop: 2,
    "redis-flush": 1,
    "redis-failover-death": 2,
    "redis-failover-stop": 2,
    "redis-failover-cut": 2,
    "clients-stop": 1,
  },
  cluster: {
    kill: 2,
    stop: 2,
    "redis-flush": 1,
    "redis-failover-force": 2,
    "redis-failover-death": 2,
    "redis-failover-stop": 2,
    "redis-migrate": 2,
    "redis-migrate-death": 1,
    "clients-stop": 1,
  },
};

/** A round of one fault of each of these comes first every third round: some promises can only be judged without others. */
const ALONE: Readonly<Record<Topology, readonly FaultKind[]>> = {
  single: [
    "redis-restart",
    "redis-loss",
    "redis-flush",
    "redis-rollback",
    "stop",
    "kill",
  ],
  sentinel: ["redis-failover-death", "redis-failover-cut", "redis-failover-stop"],
  cluster: [
    "redis-failover-force",
    "redis-failover-death",
    "redis-migrate",
    "redis-failover-stop",
    "redis-migrate-death",
  ],
};

/**
 * Rounds of faults that fill the time. Within a round faults overlap, but two that need the same process or Redis come
 * one after the other.
 */
export function planRounds(options: PlanOptions): PlannedFault[][] {
  const { seed, durationMs, leaseMs } = options;
  const random = new Random(seed);
  const rounds: PlannedFault[][] = [];
  const roundMs = (ROUND_LEASES + QUIET_LEASES) * leaseMs;
  for (let i = 0; i < Math.max(1, Math.round(durationMs / roundMs)); i++) {
    rounds.push(
      i % 3 === 2 ? [alone(random, i, options)] : turbulence(random, options),
    );
  }
  return rounds;
}

function alone(random: Random, round: number, { leaseMs, servers, topology }: PlanOptions): PlannedFault {
  const faults = ALONE[topology];
  const fault = faults[Math.floor(round / 3) % faults.length]!;
  return {
    fault,
    atMs: leaseMs / 2,
    durationMs: fault === "redis-flush" ? 0 : random.between(0.2, 0.5) * leaseMs,
    target: fault.startsWith("redis") ? undefined : random.integer(0, servers - 1),
  };
}

function turbulence(random: Random, { leaseMs, servers, crowds, topology }: PlanOptions): PlannedFault[] {
  const roundMs = ROUND_LEASES * leaseMs;
  const faults: PlannedFault[] = [];
  const freeAtMs = new Map<string, number>();
  for (let atMs = random.exponential(leaseMs / 4); atMs < roundMs; atMs += random.exponential(leaseMs / 4)) {
    const fault = random.weighted(WEIGHTS[topology]);
    // shorter than the lease, about as long, or longer
    const durationMs = fault === "redis-flush"
      ? 0
      : leaseMs * random.of([0.15, 0.5, 0.85, 1, 1.2, 1.8]) * random.between(0.9, 1.1);
    const target = fault.startsWith("redis")
      ? undefined
      : random.integer(0, (fault === "clients-stop" ? crowds : servers) - 1);
    const delayMs = fault === "delay" ? random.between(0.01, 0.3) * leaseMs : undefined;
    const subject = subjectOf({ fault, target });
    if ((freeAtMs.get(subject) ?? 0) > atMs) continue;
    freeAtMs.set(subject, atMs + durationMs);
    faults.push({ fault, atMs, durationMs, target, delayMs });
  }
  return faults;
}

/** What may not be the subject of two faults at a time: a server, its way to Redis, Redis, a process of clients. */
export function subjectOf({ fault, target }: Pick<PlannedFault, "fault" | "target">): string {
  if (target === undefined) return "redis";
  if (fault === "clients-stop") return `clients ${target}`;
  return `${fault === "kill" || fault === "stop" ? "server" : "way of server"} ${target}`;
}
