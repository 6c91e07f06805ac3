import type { Random } from "../chaos/random.ts";

/** What may go wrong. */
export type FaultKind =
  // with a process
  | "kill"
  | "stop"
  | "leave"
  | "join"
  | "wall-clock"
  // with its way to Redis
  | "cut"
  | "stall"
  | "hold"
  | "slow"
  | "batch"
  // with Redis
  | "redis-pause"
  | "redis-restart-empty"
  | "redis-restart-older"
  | "redis-failover"
  | "redis-failover-back"
  | "redis-flush"
  | "redis-forget-scripts"
  // with Redis's clock
  | "clock-forward"
  | "clock-back"
  // nothing goes wrong: an operator ends the sessions of a client
  | "end";

export interface Fault {
  kind: FaultKind;
  atMs: number;
  durationMs: number;
  /** Which process, by its place among those that live then. */
  target: number;
  /** How far data lags behind, a clock is set, or a way is slow, ms. */
  byMs: number;
}

/** Sets of faults, and how often each is chosen. */
export const FAULTS: Readonly<
  Record<"default" | "clock" | "loss" | "operator", Partial<Record<FaultKind, number>>>
> = {
  default: {
    kill: 4,
    stop: 5,
    leave: 1,
    join: 3,
    "wall-clock": 1,
    cut: 4,
    stall: 5,
    hold: 4,
    slow: 3,
    batch: 2,
    "redis-pause": 4,
    "redis-restart-empty": 3,
    "redis-restart-older": 2,
    "redis-failover": 3,
    "redis-failover-back": 2,
    "redis-flush": 3,
    "redis-forget-scripts": 1,
  },
  clock: { "clock-forward": 5, "clock-back": 5 },
  /** Data that is lost while processes are out of touch, and little else. */
  loss: {
    cut: 6,
    stall: 6,
    hold: 2,
    join: 2,
    "redis-restart-empty": 2,
    "redis-flush": 6,
    "redis-failover": 2,
  },
  operator: { end: 10 },
};

export type FaultSet = keyof typeof FAULTS;

/** Everything that a seed decides before the simulation begins. */
export interface Plan {
  leaseMs: number;
  processes: number;
  clients: number;
  /** How long faults go on. */
  faultsMs: number;
  /** The mean time between the connections of one client. */
  connectEveryMs: number;
  /** The mean time for which a client stays. */
  stayMs: number;
  faults: Fault[];
}

/** Steps of Redis's clock forward are at least this far from one another, in leases: one in each lease is allowed. */
const CLOCK_STEP_LEASES = 1.1;

export function makePlan(random: Random, sets: readonly FaultSet[]): Plan {
  const leaseMs = random.of([1000, 2000, 2000, 5000, 10_000]);
  const faultsMs = leaseMs * random.between(3, 8);
  const weights = Object.assign({}, ...sets.map((set) => FAULTS[set])) as Record<FaultKind, number>;
  const faults: Fault[] = [];
  const everyMs = leaseMs * random.of([0.15, 0.3, 0.6, 1.2]);
  let clockFreeAtMs = 0;
  for (let atMs = leaseMs * random.between(0.3, 1.5); atMs < faultsMs; atMs += random.exponential(everyMs)) {
    const kind = random.weighted(weights);
    if (kind === "clock-forward") {
      if (atMs < clockFreeAtMs) continue;
      clockFreeAtMs = atMs + leaseMs * CLOCK_STEP_LEASES;
    }
    faults.push({
      kind,
      atMs,
      // a moment, shorter than the lease, about as long, or longer
      durationMs: leaseMs * random.of([0.01, 0.1, 0.3, 0.5, 0.85, 1, 1.3, 2]) * random.between(0.8, 1.2),
      target: random.integer(0, 99),
      byMs: leaseMs * random.of([0.01, 0.1, 0.5, 0.9, 3]) * random.between(0.5, 1.5),
    });
  }
  return {
    leaseMs,
    processes: random.integer(1, 4),
    clients: random.integer(1, 4),
    faultsMs,
    connectEveryMs: leaseMs * random.of([0.1, 0.3, 1]),
    stayMs: leaseMs * random.of([0.2, 1, 5]),
    faults,
  };
}

/** A plan as text, a line each. */
export function describe({ leaseMs, processes, clients, faults }: Plan): string {
  return [
    `lease ${leaseMs} ms, ${processes} processes at first, ${clients} clients`,
    ...faults.map(({ kind, atMs, durationMs, target, byMs }) =>
      `${atMs.toFixed(0).padStart(8)} ms  ${kind} for ${durationMs.toFixed(0)} ms, by ${
        byMs.toFixed(0)
      } ms, of ${target}`
    ),
  ].join("\n");
}
