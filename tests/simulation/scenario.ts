import assert from "node:assert/strict";
import type { Mutant } from "./mutants.ts";
import type { WayMode } from "./network.ts";
import type { Costs, SimulatedProcess, SimulatedSession } from "./process.ts";
import { Schedule } from "./schedule.ts";

/** What a way can be. */
const WAYS = {
  open: { kind: "open", minMs: 0.1, maxMs: 1 },
  slow: { kind: "open", minMs: 20, maxMs: 20 },
  stall: { kind: "stall" },
  cut: { kind: "cut" },
} as const satisfies Record<string, WayMode>;

export interface ScenarioOptions {
  leaseMs?: number;
  mutant?: Mutant;
  costs?: Costs;
  takeoverLimit?: number;
}

/** A simulation in which a test says what happens. */
export class Scenario {
  readonly leaseMs: number;
  readonly #schedule: Schedule;

  constructor({ leaseMs = 10_000, mutant, costs, takeoverLimit }: ScenarioOptions = {}) {
    this.leaseMs = leaseMs;
    const nothing = { processes: 0, clients: 0, faultsMs: 0, connectEveryMs: 1, stayMs: 1, faults: [] };
    const options = { seed: "by hand", faults: [], mutant, trace: true, costs, takeoverLimit };
    this.#schedule = new Schedule(options, { leaseMs, ...nothing });
  }

  get redis(): Schedule["redis"] {
    return this.#schedule.redis;
  }

  /** What happened, for a test that fails. */
  get trace(): string {
    return this.#schedule.world.trace.join("\n");
  }

  /** The promises that were broken, as texts. */
  get violations(): string[] {
    return this.#schedule.checker.violations.map(({ promise, text }) => `promise ${promise}: ${text}`);
  }

  get nowMs(): number {
    return this.#schedule.world.nowMs;
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.#schedule.world.runUntil(this.nowMs + ms);
  }

  /** Lets time pass until something is so. */
  async until(condition: () => boolean, what: string, patienceMs = 5 * this.leaseMs + 5_000): Promise<void> {
    for (const endMs = this.nowMs + patienceMs; !condition();) {
      if (this.nowMs > endMs) assert.fail(`in vain until ${what}\n${this.trace.slice(-6_000)}`);
      await this.pass(1);
    }
  }

  /** Starts processes and waits until they may have sessions and have heard of one another. */
  async started(count: number): Promise<SimulatedProcess[]> {
    const processes = Array.from({ length: count }, () => this.join());
    for (const process of processes) await this.until(() => ready(process), `${process.name} is ready`);
    await this.pass(this.leaseMs / 5);
    return processes;
  }

  /** Starts a process and waits for nothing. @param leaseMs Its own. @default that of the others */
  join(leaseMs?: number): SimulatedProcess {
    return this.#schedule.join(leaseMs);
  }

  async established(process: SimulatedProcess, clientId: string): Promise<SimulatedSession> {
    const session = process.connect(clientId);
    await this.until(() => session.established, `${clientId} has a session at ${process.name}`);
    return session;
  }

  /** Breaks connections, or keeps what is on them from arriving. */
  way(process: SimulatedProcess, kind: keyof typeof WAYS): void {
    process.options.way.set(WAYS[kind]);
  }

  /** Keeps what is on the connections that there are from arriving, until the answer is called. */
  hold({ options: { way } }: SimulatedProcess): () => void {
    const connections = [...way.connections];
    for (const connection of connections) way.hold(connection);
    return () => {
      for (const connection of connections) way.letGo(connection);
    };
  }

  /** Who has a place in Redis, by session_id. */
  get places(): string[] {
    return this.redis.lines.flatMap((line) => line.split("|").map((place) => place.split(" ")[0]!));
  }

  /** Waits until all must have come to rest, and looks whether it has. */
  async rests(): Promise<void> {
    await this.#schedule.rest();
    if (this.violations.length > 0) assert.deepEqual(this.violations, [], this.trace.slice(-10_000));
  }
}

/** Whether a process takes sessions. */
export function ready(process: SimulatedProcess): boolean {
  return process.registry?.state === "ready";
}
