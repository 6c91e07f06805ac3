import type { RevokeReason } from "../../lib/sessions/registry/registry.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { Connection } from "./network.ts";
import type { SimulatedProcess, SimulatedSession, Witness } from "./process.ts";
import type { ScriptRun, SimulatedRedis } from "./redis.ts";
import type { World } from "./world.ts";

export interface Violation {
  /** 1 to 4 as docs/sessions-protocol.md has them; 0: it does not come to rest. */
  promise: 0 | 1 | 2 | 3 | 4;
  atMs: number;
  text: string;
}

/** A claim that was on its way in the same instant in which its connection was given up came in time. */
const INSTANT_MS = 1;

/**
 * For so many leases a session that is over may be in its line: until its process is heard of no more, or can say so. Longer
 * after something has happened to Redis, since nobody looks for what old data has brought back before the data is complete.
 */
const GHOST_LEASES = 2.5;

/** So much of the lease in Redis a process takes for its own, see lib/sessions/registry/redis/lease.ts. */
const OWN_LEASE = 0.9;

/** No process ends its sessions before so much of its lease has passed without a renewal, unless it has many of them. */
const LEAST_LEASE = 0.55;
const MANY_SESSIONS = 100;

/** Judges by the promises, at every event. Where it cannot know, the promise gets the benefit of the doubt. */
export class Checker implements Witness {
  readonly violations: Violation[] = [];
  /** By session_id, all there ever were. */
  readonly sessions = new Map<string, SimulatedSession>();
  readonly #established = new Map<string, Set<SimulatedSession>>();
  readonly #world: World;
  readonly #leaseMs: number;
  /** The newest connection of each process by which it has renewed. */
  readonly #renewed = new Map<unknown, number>();
  #arrivals = 0;
  /** Whose sessions an operator has ended. */
  readonly #endAsked = new Set<string>();
  /** Those whose place was given by what their process reckons. */
  readonly #reckoned = new Set<SimulatedSession>();
  /** When something last happened to Redis itself, and to its clock. */
  redisDisturbedAtMs = -Infinity;
  clockSetAtMs = -Infinity;
  /** How many sessions were established, and replaced. */
  readonly counts = { claimed: 0, established: 0, replaced: 0, refused: 0, lost: 0, ended: 0 };

  constructor(world: World, leaseMs: number) {
    this.#world = world;
    this.#leaseMs = leaseMs;
  }

  // ---- what happens at the processes --------------------------------------------------------------------------------

  onClaim(session: SimulatedSession): void {
    this.counts.claimed++;
    this.sessions.set(session.sessionId, session);
    this.#world.tell(() => `${session.process.name} claims ${session.sessionId}`);
  }

  onEstablish(session: SimulatedSession): void {
    this.counts.established++;
    const nowMs = session.process.hereMs;
    this.#world.tell(() => `${session.process.name} establishes ${session.sessionId}`);
    const others = this.#established.get(session.clientId) ?? new Set();
    for (const other of others) {
      if (other.endedAtMs <= nowMs) others.delete(other);
      else if (!this.#stoodStill(other, nowMs)) {
        this.#violation(1, `${name(session)} is established while ${name(other)} is`);
      }
    }
    others.add(session);
    this.#established.set(session.clientId, others);
  }

  onRevoke(session: SimulatedSession, reason: RevokeReason): void {
    this.#world.tell(() =>
      `${session.process.name} revokes ${session.sessionId}: ${
        reason.kind === "replaced" ? `replaced by ${reason.bySessionId}` : reason.kind
      }`
    );
    if (reason.kind === "replaced") {
      this.counts.replaced++;
      const by = this.sessions.get(reason.bySessionId);
      if (!by) return this.#violation(2, `${name(session)} is replaced by the unknown ${reason.bySessionId}`);
      // who had to ask again is ordered by what its process reckons, as exactly as it knows Redis's clock
      const toleranceMs = this.#reckoned.has(by) || this.#reckoned.has(session) ? this.#leaseMs / 4 : 0;
      if ((by.arrival?.atMs ?? -Infinity) < session.claimedAtMs - toleranceMs) {
        this.#violation(2, `${name(session)} is replaced by the older ${name(by)}`);
      }
      if (session.established && !by.takesOver) {
        this.#violation(2, `${name(session)} is replaced by ${name(by)}, which takes over from nobody`);
      }
    } else if (reason.kind === "ended") {
      this.counts.ended++;
      if (!this.#endAsked.has(session.clientId)) {
        this.#violation(2, `${name(session)} is ended, and nobody has asked`);
      }
    } else if (reason.kind === "occupied") {
      this.counts.refused++;
      if (session.takesOver || session.established) this.#violation(2, `${name(session)} is refused a place`);
    } else if (session.established) {
      this.counts.lost++;
      const { heldSinceMs, wallSetAtMs } = session.process;
      const heldMs = this.#world.nowMs - heldSinceMs;
      const many = session.process.sessions.size >= MANY_SESSIONS;
      if (!many && heldMs < this.#leaseMs * LEAST_LEASE && wallSetAtMs < heldSinceMs - this.#leaseMs) {
        this.#violation(4, `${name(session)} is ended ${Math.round(heldMs)} ms after its lease was renewed`);
      }
    }
  }

  onEnd(session: SimulatedSession): void {
    this.#world.tell(() => `${session.process.name} has ended ${session.sessionId}`);
  }

  onEndAsked(process: SimulatedProcess, clientId: string): () => void {
    this.#endAsked.add(clientId);
    this.#world.tell(() => `an operator ends the sessions of ${clientId} at ${process.name}`);
    // all that may be sent something, or have a place and may have their turn
    const before = [...this.sessions.values()].filter((session) =>
      session.clientId === clientId && session.endedAtMs > process.hereMs &&
      (session.established || session.arrival)
    );
    return () => {
      const nowMs = process.hereMs;
      for (const session of before) {
        if (session.endedAtMs <= nowMs || this.#stoodStill(session, nowMs)) continue;
        // who had to ask again counts from when its process reckons that it came
        if (!session.established && this.#reckoned.has(session)) continue;
        this.#violation(1, `${name(session)} lives on, and an operator was told that it has ended`);
      }
    };
  }

  /** A process's lease may be over. */
  checkZombies(process: SimulatedProcess): void {
    if (!process.alive || process.frozen || process.heldSinceMs + this.#leaseMs > this.#world.nowMs) return;
    for (const session of process.sessions) {
      if (session.established && session.endedAtMs > process.hereMs) {
        this.#violation(4, `${name(session)} outlives the lease of its process`);
      }
    }
  }

  // ---- what happens at Redis ----------------------------------------------------------------------------------------

  onScript({ script, args, reply, peer, lineBefore }: ScriptRun): void {
    if (!(peer instanceof Connection) || !Array.isArray(reply)) return;
    const answer = String(reply[0]);
    if (script === SCRIPTS.renew) {
      this.#world.tell(() =>
        `redis: renewal of ${args[0]} by connection ${args[2]} (${args[3]}): ${reply.join(" ")}`
      );
      if (answer === "held") {
        this.#renewed.set(peer.way, Math.max(peer.number, this.#renewed.get(peer.way) ?? 0));
      }
      return;
    }
    if (script !== SCRIPTS.claim) return;
    const session = this.sessions.get(args[1]!);
    this.#world.tell(() =>
      `redis: claim of ${args[1]} ${args[5]} by connection ${args[6]}: ${reply.join(" ")}`
    );
    if (session && answer === "o") this.#checkRefusal(session, lineBefore ?? "");
    // one that takes over from nobody waits without a place until the data is complete
    if (!session || !"ewr".includes(answer) || reply[1] === "") return;
    session.arrival ??= { atMs: this.#world.nowMs, number: ++this.#arrivals };
    if (lineBefore?.includes(session.sessionId)) return;
    if (args[9] !== "" && args[4] === "") this.#reckoned.add(session);
    const { givenUp, number, way } = peer;
    if (number < (this.#renewed.get(way) ?? 0)) {
      this.#violation(2, `a claim of ${name(session)} takes effect after a newer connection has renewed`);
    } else if (
      givenUp && !givenUp.failed && givenUp.atMs < this.#world.nowMs - INSTANT_MS &&
      this.clockSetAtMs < givenUp.atMs - 2 * this.#leaseMs && session.process.alive
    ) {
      this.#violation(2, `a claim of ${name(session)} takes effect though its connection was given up`);
    }
  }

  /** One that takes over from nobody is refused: there must be somebody, or have been until lately. */
  #checkRefusal(session: SimulatedSession, lineBefore: string): void {
    const nowMs = this.#world.nowMs, graceMs = this.#leaseMs * GHOST_LEASES;
    if (Math.max(this.redisDisturbedAtMs, this.clockSetAtMs) > nowMs - graceMs) return;
    const others = lineBefore.split("|").map((place) => this.sessions.get(place.split(" ")[0]!));
    if (others.some((other) => other && other !== session && other.endedAtMs > nowMs - graceMs)) return;
    this.#violation(2, `${name(session)} is refused though nobody is there`);
  }

  /** A killed process's lease should be over. */
  checkDead(redis: SimulatedRedis, node: string): void {
    const keys = ["{solo}:generation", "{solo}:nodes"];
    if ((redis.eval(SCRIPTS.nodes, keys, []) as string[]).includes(node)) {
      this.#violation(3, `the killed node ${node} still has a lease`);
    }
  }

  // ---- at the end ---------------------------------------------------------------------------------------------------

  /** After a quiet time. @param lists What each process lists. */
  checkRest(
    redis: SimulatedRedis,
    processes: SimulatedProcess[],
    lists: Map<string, string[] | undefined>,
  ): void {
    for (const { promise, text } of this.unrest(redis, processes)) this.#violation(promise, text);
    const expected = this.#establishedIds;
    for (const { name } of processes) {
      const list = lists.get(name)?.sort().join(" ");
      if (list !== expected) this.#violation(3, `${name} lists ${list}, there are ${expected}`);
    }
  }

  /** What has not come to rest yet. */
  *unrest(
    redis: SimulatedRedis,
    processes: SimulatedProcess[],
  ): Generator<{ promise: Violation["promise"]; text: string }> {
    const open = this.#open;
    for (const session of open) {
      if (session.revoked) yield { promise: 0, text: `${name(session)} is still on its way out` };
    }
    for (const [clientId, sessions] of Map.groupBy(open, (session) => session.clientId)) {
      const established = sessions.filter((session) => session.established);
      if (sessions.length === 1 && established.length === 1) continue;
      const waiting = sessions.length - established.length;
      const text = `client ${clientId} has ${established.length} sessions and ${waiting} that wait: ${
        sessions.map(name).join(", ")
      }`;
      yield { promise: 0, text };
    }
    for (const { name, registry } of processes) {
      const state = registry?.state ?? "it has not started";
      if (state !== "ready") yield { promise: 0, text: `${name} is not ready: ${state}` };
    }
    const expected = this.#establishedIds;
    const { lines } = redis;
    const places = lines.flatMap((line) => line.split("|").map((place) => place.split(" ")[0]));
    if (places.sort().join(" ") !== expected) {
      yield { promise: 3, text: `Redis has ${lines.join(", ")}; there are ${expected}` };
    }
  }

  get #open(): SimulatedSession[] {
    return [...this.sessions.values()].filter(({ endedAtMs }) => endedAtMs === Infinity);
  }

  get #establishedIds(): string {
    return this.#open.filter(({ established }) => established).map(({ sessionId }) => sessionId).sort().join(
      " ",
    );
  }

  /**
   * Whether a session counts as over for the others: its process stands still, or has just come to, and its own lease is over,
   * so that ending its sessions is what it does first.
   */
  #stoodStill({ process, endedAtMs }: SimulatedSession, nowMs: number): boolean {
    const ownLeaseMs = this.#leaseMs * OWN_LEASE / process.options.rate;
    return process.heldSinceMs + ownLeaseMs <= nowMs && (process.frozen || endedAtMs !== Infinity);
  }

  #violation(promise: Violation["promise"], text: string): void {
    this.#world.tell(() => `VIOLATION of promise ${promise}: ${text}`);
    this.violations.push({ promise, atMs: this.#world.nowMs, text });
  }
}

function name({ sessionId, process }: SimulatedSession): string {
  return `${sessionId} (${process.name})`;
}
