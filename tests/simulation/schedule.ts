import { Checker, type Violation } from "./checker.ts";
import type { Mutant, Mutation } from "./mutants.ts";
import { Way, type WayMode } from "./network.ts";
import { describe, type Fault, type FaultSet, makePlan, type Plan } from "./plan.ts";
import { type Costs, SimulatedProcess, type SimulatedSession } from "./process.ts";
import { SimulatedRedis } from "./redis.ts";
import { RedisData } from "./redis_data.ts";
import { World } from "./world.ts";

export interface Options {
  seed: string;
  faults: readonly FaultSet[];
  mutant?: Mutant;
  /** Keeps a line for everything that happens. */
  trace?: boolean;
  /** How many takeovers of a client a minute has room for. @default any number */
  takeoverLimit?: number;
  /** What ending costs. @default by the seed */
  costs?: Costs;
}

export interface Outcome {
  violations: Violation[];
  events: number;
  faults: number;
  counts: Checker["counts"];
  /** What was planned. */
  plan: string;
  trace: string[];
}

/** How long a process tries to have a lease before it gives up and is started again. */
const START_TIMEOUT_MS = 5_000;

/** The longest that the end of a session may not be evident. */
const MAX_EVIDENCE_MS = 2_000;

/** How fast the clocks of processes may go. */
const MAX_DRIFT = 0.02;

/** How long it may take until all is at rest when all is well: in leases, and what takes its time whatever the lease. */
const QUIET_LEASES = 3.5;
const QUIET_MS = 6_000;

/** How many of the connections take over from nobody. */
const POLITE = 0.15;

/** For so long it has to be at rest without a break, in leases, and so often it is looked at meanwhile. */
const REST_LEASES = 1;
const LOOKS = 20;

/** How long whoever has connected is on the way at most. */
const ARRIVAL_MS = 100;

/** How long a listing of all processes may take. */
const LISTING_MS = 2_000;

/** One simulation: what the seed says, from the beginning to the end. */
export async function simulate(options: Options): Promise<Outcome> {
  const schedule = new Schedule(options);
  return await schedule.run();
}

/** The cluster, its clients and what goes wrong, put together by hand or by a seed. */
export class Schedule {
  readonly world: World;
  readonly redis: SimulatedRedis;
  readonly checker: Checker;
  readonly plan: Plan;
  readonly processes: SimulatedProcess[] = [];
  readonly #options: Options;
  readonly #mutation: Mutation;
  #names = 0;
  #calm = false;
  /** When the last thing will happen that has been prepared: somebody joins, a fault is mended. */
  #dueMs = 0;

  constructor(options: Options, plan?: Plan) {
    this.#options = options;
    this.world = new World(options.seed, options.trace ?? false);
    this.plan = plan ?? makePlan(this.world.random, options.faults);
    this.checker = new Checker(this.world, this.plan.leaseMs);
    this.#mutation = options.mutant?.make() ?? {};
    this.redis = new SimulatedRedis(this.world, (run) => this.checker.onScript(run), this.#mutation);
  }

  async run(): Promise<Outcome> {
    const { world, plan, checker } = this;
    for (let i = 0; i < plan.processes; i++) {
      world.after(world.random.between(0, plan.leaseMs / 5), () => this.join());
    }
    for (let i = 0; i < plan.clients; i++) new Client(this, `c${i}`);
    for (const fault of plan.faults) this.#prepare(fault);
    await world.runUntil(plan.faultsMs);
    this.#mendAll();
    await this.rest();
    return {
      violations: checker.violations,
      events: world.events,
      faults: plan.faults.length,
      counts: checker.counts,
      plan: `seed ${this.#options.seed}: ${describe(plan)}`,
      trace: world.trace,
    };
  }

  /** Those that a client may reach. */
  get alive(): SimulatedProcess[] {
    return this.processes.filter(({ alive }) => alive);
  }

  /** A new process. */
  join(leaseMs: number = this.plan.leaseMs): SimulatedProcess {
    const { world, redis, checker } = this;
    const { random } = world;
    const process = new SimulatedProcess({
      world,
      way: new Way(world, redis),
      name: `p${++this.#names}`,
      leaseMs,
      takeoverLimit: this.#options.takeoverLimit ?? 0,
      rate: 1 + random.between(-MAX_DRIFT, MAX_DRIFT),
      costs: this.#options.costs ?? this.#costs(),
      witness: checker,
      mutation: this.#mutation,
    });
    this.processes.push(process);
    world.tell(() => `${process.name} starts`);
    process.start(START_TIMEOUT_MS, () => this.#later(random.between(100, 1000), () => this.join()));
    this.#watch(process);
    return process;
  }

  /** Lets time pass until all has come to rest, or should have, and looks whether it has. */
  async rest(): Promise<void> {
    const { world, plan: { leaseMs } } = this;
    const endMs = world.nowMs + leaseMs * QUIET_LEASES + QUIET_MS;
    await this.#restFor(leaseMs * REST_LEASES, endMs);
    this.#calm = true;
    await this.#restFor(ARRIVAL_MS, endMs + LISTING_MS);
    await this.#checkRest();
  }

  /** Lets time pass until all has been at rest for so long, or should have been. */
  async #restFor(ms: number, endMs: number): Promise<void> {
    const { world, checker, redis } = this;
    for (let restlessAtMs = world.nowMs; world.nowMs < Math.min(endMs, restlessAtMs + ms);) {
      await world.runUntil(world.nowMs + ms / LOOKS);
      const rests = this.#dueMs <= world.nowMs && checker.unrest(redis, this.alive).next().done;
      if (!rests) restlessAtMs = world.nowMs;
    }
  }

  async #checkRest(): Promise<void> {
    const { world, checker, redis } = this;
    const lists = new Map<string, string[]>();
    for (const process of this.alive) {
      (async () => {
        const pages = await Array.fromAsync(process.registry!.list());
        lists.set(process.name, pages.flat().map(({ sessionId }) => sessionId));
      })().catch(() => {});
    }
    const endMs = world.nowMs + LISTING_MS;
    while (lists.size < this.alive.length && world.nowMs < endMs) await world.runUntil(world.nowMs + 10);
    checker.checkRest(redis, this.alive, lists);
  }

  #later(ms: number, run: () => void): void {
    this.#dueMs = Math.max(this.#dueMs, this.world.nowMs + ms);
    this.world.after(ms, run);
  }

  /** Whether clients keep still. */
  get calm(): boolean {
    return this.#calm;
  }

  #costs(): Costs {
    const { random } = this.world;
    const askMs = random.between(0.005, 0.2), cutMs = random.between(0.005, 0.04);
    const slow = random.of([0, 0.1, 0.3]);
    return {
      askMs,
      cutMs,
      evidenceMs: () => random.next() < slow ? random.between(0, MAX_EVIDENCE_MS) : random.between(0, 3),
    };
  }

  /** Looks from time to time whether sessions outlive the lease. */
  #watch(process: SimulatedProcess): void {
    const look = () => {
      if (!process.alive) return;
      this.checker.checkZombies(process);
      this.world.after(this.plan.leaseMs / 50, look);
    };
    look();
  }

  // ---- what goes wrong ----------------------------------------------------------------------------------------------

  #prepare(fault: Fault): void {
    let older: RedisData | undefined;
    const lags = fault.kind === "redis-restart-older" || fault.kind.startsWith("redis-failover");
    if (lags) this.world.after(fault.atMs - fault.byMs, () => older = this.redis.data.clone());
    this.world.after(fault.atMs, () => this.#fault(fault, older));
  }

  #fault({ kind, durationMs, target, byMs }: Fault, older: RedisData | undefined): void {
    const { world, redis, checker } = this;
    const { random } = world;
    const process = this.alive[target % Math.max(1, this.alive.length)];
    world.tell(() =>
      `${kind} of ${kind.startsWith("redis") || kind.startsWith("clock") ? "Redis" : process?.name}`
    );
    const later = (run: () => void) => this.#later(durationMs, run);
    const way = (mode: WayMode) => {
      process?.options.way.set(mode);
      later(() => process?.options.way.set({ kind: "open", minMs: 0.1, maxMs: 1 }));
    };
    if (kind.startsWith("redis") || kind.startsWith("clock")) {
      checker.redisDisturbedAtMs = world.nowMs + durationMs;
    }
    switch (kind) {
      case "kill":
        if (process) this.#kill(process);
        later(() => this.join());
        break;
      case "stop":
        process?.freeze();
        later(() => process?.thaw());
        break;
      case "leave":
        process?.deliver(() => process.leave());
        later(() => this.join());
        break;
      case "join":
        if (this.alive.length < 6) this.join();
        break;
      case "wall-clock":
        process?.setWallClock(random.of([-1, 1]) * byMs);
        break;
      case "cut":
      case "stall":
        way({ kind });
        break;
      case "slow":
        way({ kind: "open", minMs: byMs / 100, maxMs: byMs / 10 });
        break;
      case "batch":
        way({ kind: "batch", everyMs: Math.max(2, byMs / 20) });
        break;
      case "hold":
        for (const connection of process?.options.way.connections ?? []) {
          connection.way.hold(connection);
          later(() => connection.way.letGo(connection));
        }
        break;
      case "redis-pause":
        if (!redis.up) break;
        redis.pause();
        later(() => redis.resume());
        break;
      case "redis-restart-empty":
        this.#replace(durationMs, () => new RedisData());
        break;
      case "redis-restart-older":
        this.#replace(durationMs, () => (older ?? redis.data).clone());
        break;
      case "redis-failover":
        this.#replace(durationMs / 3, () => (older ?? redis.data).clone());
        break;
      case "redis-failover-back": {
        const { runId } = redis;
        this.#replace(durationMs / 4, () => (older ?? redis.data).clone(), () => {
          const lagging = redis.data.clone();
          this.#later(
            random.between(0, durationMs / 4),
            () => this.#replace(durationMs / 4, () => lagging, undefined, runId),
          );
        });
        break;
      }
      case "redis-flush":
        redis.flush();
        break;
      case "redis-forget-scripts":
        redis.forgetScripts();
        break;
      case "clock-forward":
      case "clock-back":
        checker.clockSetAtMs = world.nowMs;
        redis.setClock((kind === "clock-back" ? -1 : 1) * byMs * random.of([1, 100]));
        break;
      case "end":
        process?.deliver(() => process.end(`c${Math.floor(durationMs) % this.plan.clients}`));
        break;
      default:
        kind satisfies never;
    }
  }

  #replace(downMs: number, data: () => RedisData, then?: () => void, runId?: string): void {
    const { redis } = this;
    if (!redis.up) return;
    redis.stop();
    this.#later(downMs, () => {
      redis.start(data(), runId);
      then?.();
    });
  }

  #kill(process: SimulatedProcess): void {
    const { world, checker, redis, plan } = this;
    const node = process.registry?.node;
    process.kill();
    if (!node) return;
    const atMs = world.nowMs;
    const others = this.alive.filter(({ registry }) => registry?.state === "ready");
    world.after(plan.leaseMs * 1.2 + 500, () => {
      const faults = plan.faults.some((fault) =>
        fault.atMs < world.nowMs && fault.atMs + fault.durationMs + fault.byMs > atMs - plan.leaseMs &&
        fault.kind !== "kill"
      );
      if (!faults && others.some(({ alive }) => alive)) checker.checkDead(redis, node);
    });
  }

  #mendAll(): void {
    const { redis, world } = this;
    world.tell(() => "all is mended");
    if (!redis.up) redis.start(redis.data);
    redis.resume();
    for (const process of this.alive) {
      process.options.way.set({ kind: "open", minMs: 0.1, maxMs: 1 });
      for (const connection of [...process.options.way.held]) connection.way.letGo(connection);
      process.thaw();
    }
    if (this.alive.length === 0) this.join();
  }
}

/** Someone who connects, again and again, and does with a close what the protocol says. */
class Client {
  readonly #open = new Set<SimulatedSession>();

  constructor(readonly schedule: Schedule, readonly id: string) {
    this.#next();
  }

  #next(): void {
    const { world, plan } = this.schedule;
    world.after(world.random.exponential(plan.connectEveryMs), () => {
      const quiet = world.nowMs > plan.faultsMs;
      if (quiet && this.#open.size > 0) return;
      const storm = world.random.next() < 0.1 ? world.random.integer(2, 5) : 1;
      for (let i = 0; i < storm; i++) this.connect();
      this.#next();
    });
  }

  connect(): void {
    const { world, alive, plan, calm } = this.schedule;
    if (calm) return;
    const retry = () => world.after(world.random.between(20, 500), () => this.connect());
    if (alive.length === 0) return void retry();
    const process = world.random.of(alive);
    world.after(world.random.between(0.1, 2), () =>
      process.deliver(() => {
        if (!process.registry || process.registry.state === "unleased") return void retry();
        const session = process.connect(this.id, world.random.next() >= POLITE);
        this.#open.add(session);
        this.#watch(session);
        const stayMs = world.random.exponential(plan.stayMs);
        if (world.nowMs + stayMs < plan.faultsMs) world.after(stayMs, () => session.close());
      }));
  }

  /** Comes back when its session has ended for another reason than another session of it, or that it has left. */
  #watch(session: SimulatedSession): void {
    const { world } = this.schedule;
    session.onOver = (left) => {
      this.#open.delete(session);
      if (left || ["replaced", "occupied", "ended"].includes(session.revoked?.kind ?? "")) return;
      world.after(world.random.between(0, 500), () => {
        if (this.#open.size === 0) this.connect();
      });
    };
  }
}
