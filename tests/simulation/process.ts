import type { Clock, Timer } from "../../lib/service/clock.ts";
import type { Delivery } from "../../lib/sessions/session_entry.ts";
import type { Candidate, RevokeReason } from "../../lib/sessions/registry/registry.ts";
import { RedisRegistry } from "../../lib/sessions/registry/redis/redis_registry.ts";
import type { Reply } from "../../lib/sessions/redis_connection.ts";
import type { Mutation } from "./mutants.ts";
import type { Connection, Way } from "./network.ts";
import type { World } from "./world.ts";

/** What a process tells of itself, for who judges. */
export interface Witness {
  onClaim(session: SimulatedSession): void;
  onEstablish(session: SimulatedSession): void;
  onRevoke(session: SimulatedSession, reason: RevokeReason): void;
  onEnd(session: SimulatedSession): void;
  /** An operator ends the sessions of a client. @returns what is called when that was confirmed. */
  onEndAsked(process: SimulatedProcess, clientId: string): () => void;
}

/** How much time ending takes. */
export interface Costs {
  /** Of the process, for each, ms. */
  askMs: number;
  cutMs: number;
  /** Until the end of a session that was asked is evident. */
  evidenceMs: () => number;
}

export interface ProcessOptions {
  world: World;
  way: Way;
  name: string;
  leaseMs: number;
  /** How many takeovers of a client a minute has room for. */
  takeoverLimit: number;
  /** How fast its clock goes. */
  rate: number;
  costs: Costs;
  witness: Witness;
  mutation: Mutation;
}

/** Unix time of a process's own at the beginning. */
const WALL_MS = 1_700_000_000_000;

/** No timer is shorter. */
const LEAST_TIMER_MS = 0.05;

/** A process of the cluster: a real registry, with the clock, the network and the sockets of the simulation. */
export class SimulatedProcess {
  registry: RedisRegistry | undefined;
  alive = true;
  frozen = false;
  /** When it stood still last. */
  frozenAtMs = -Infinity;
  /** What it was sent, or when it was due, while it stood still. */
  #inbox: (() => void)[] = [];
  /** What waits until it has done something else. */
  readonly #queue: (() => void)[] = [];
  /** Its wall clock was set by this. */
  #wallOffsetMs = 0;
  #busyUntilMs = 0;
  readonly #startedAtMs: number;
  readonly sessions = new Set<SimulatedSession>();
  #nodes = 0;
  /** When the renewal was sent that was answered last, by the world's clock. */
  heldSinceMs = -Infinity;
  /** When its wall clock was set forward last. */
  wallSetAtMs = -Infinity;
  readonly #clocks = new Map<Candidate, Candidate>();

  constructor(readonly options: ProcessOptions) {
    this.#startedAtMs = options.world.nowMs;
  }

  get name(): string {
    return this.options.name;
  }

  /** Starts the registry; one that cannot have a lease ends the process. */
  async start(startTimeoutMs: number, onEnd: () => void): Promise<void> {
    const { leaseMs, takeoverLimit, way } = this.options;
    try {
      this.registry = await RedisRegistry.start({
        url: "redis://simulated",
        leaseMs,
        takeoverLimit,
        startTimeoutMs,
        clock: this.options.mutation.clock?.(this.clock) ?? this.clock,
        nodeName: () => `${this.name}.${++this.#nodes}`,
        connect: (onLost) => this.#listenIn(way.connect((run) => this.deliver(run), onLost)),
      });
    } catch {
      this.kill();
      onEnd();
    }
  }

  /** A client has connected. */
  connect(clientId: string, takesOver: boolean = true): SimulatedSession {
    const session = new SimulatedSession(this, clientId, takesOver);
    this.sessions.add(session);
    this.options.witness.onClaim(session);
    const candidate = this.options.mutation.candidate?.(session) ?? session;
    this.#clocks.set(session, candidate);
    this.registry!.claim(candidate);
    return session;
  }

  /** An operator ends the sessions of a client, by this process. */
  async end(clientId: string): Promise<void> {
    if (!this.registry) return; // it has yet to start
    const { witness, world } = this.options;
    const judge = witness.onEndAsked(this, clientId);
    const result = await this.registry.end(clientId).catch(() => undefined);
    if (result && this.alive) {
      world.tell(() => `${this.name} says that the sessions of ${clientId} are: ${result.kind}`);
    }
    if (this.alive && (result?.kind === "ended" || result?.kind === "nobody")) judge();
  }

  /** A socket has gone, as the server tells the registry. */
  onGone(session: SimulatedSession): void {
    this.sessions.delete(session);
    this.registry?.release(this.#clocks.get(session)!);
  }

  /** SIGKILL: everything of it is gone, but for what it has sent. */
  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#inbox = [];
    for (const session of this.sessions) session.vanish();
    this.sessions.clear();
    for (const connection of this.options.way.connections) connection.destroy();
  }

  /** SIGTERM: its sessions end, its entries are removed. */
  async leave(): Promise<void> {
    for (const session of [...this.sessions]) session.close();
    await this.registry?.[Symbol.asyncDispose]();
    this.kill();
  }

  /** SIGSTOP. */
  freeze(): void {
    if (this.frozen || !this.alive) return;
    this.frozen = true;
    this.frozenAtMs = this.options.world.nowMs;
  }

  /** SIGCONT: all that is due happens, in some order, before anything else. */
  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    for (const run of this.#inbox.splice(0)) this.options.world.after(0, () => this.deliver(run));
  }

  setWallClock(ms: number): void {
    this.#wallOffsetMs += ms;
    if (ms > 0) this.wallSetAtMs = this.options.world.nowMs;
  }

  /** The process computes for this long. */
  spend(ms: number): void {
    this.#busyUntilMs = this.#hereMs + ms;
  }

  /** Something happens to the process, when it runs and has done what came before. */
  deliver(run: () => void): void {
    if (!this.alive) return;
    const { world } = this.options;
    if (this.frozen) this.#inbox.push(run);
    else if (this.#queue.length > 0 || this.#busyUntilMs > world.nowMs) {
      if (this.#queue.push(run) === 1) world.at(this.#busyUntilMs, () => this.#work());
    } else run();
  }

  /** Does the first thing of those that wait, and the next one when that is done. */
  #work(): void {
    const run = this.#queue[0];
    if (!run || !this.alive) return;
    if (this.frozen) this.#inbox.push(run);
    else run();
    this.#queue.shift();
    if (this.#queue.length > 0) this.options.world.at(this.#busyUntilMs, () => this.#work());
  }

  /** Notes when the renewal was sent that was answered last. */
  #listenIn(connection: Connection): Connection {
    const send = connection.send.bind(connection);
    connection.send = <T extends Reply>(...command: string[]) => {
      const sentAtMs = this.#hereMs;
      const reply = send<T>(...command);
      reply.then((answer) => {
        if (Array.isArray(answer) && answer[0] === "held" && command.includes(this.registry?.node ?? "")) {
          this.heldSinceMs = sentAtMs;
        }
      }, () => {});
      return reply;
    };
    return connection;
  }

  /** Where it is in the world's time: further than that while it computes. */
  get #hereMs(): number {
    return Math.max(this.options.world.nowMs, this.#busyUntilMs);
  }

  /** When what it does now has been done. */
  get hereMs(): number {
    return this.#hereMs;
  }

  readonly clock: Clock = {
    nowMs: () => (this.#hereMs - this.#startedAtMs) * this.options.rate,
    wallMs: () => WALL_MS + this.#hereMs * this.options.rate + this.#wallOffsetMs,
    after: (ms, callback) => this.#after(Math.max(LEAST_TIMER_MS, ms) / this.options.rate, callback),
    nextTurn: () => new Promise((resolve) => void this.#after(0, resolve)),
  };

  #after(ms: number, callback: () => void): Timer {
    let disposed = false;
    const cancel = this.options.world.at(
      this.#hereMs + ms,
      () =>
        this.deliver(() => {
          if (!disposed) callback();
        }),
    );
    return {
      [Symbol.dispose]: () => {
        disposed = true;
        cancel();
      },
    };
  }
}

/** A socket of a process, and the session on it. */
export class SimulatedSession implements Candidate {
  readonly sessionId: string;
  readonly connectedAtMs: number;
  readonly claimedAtMs: number;
  established = false;
  /** Whether the client has been told to stay away. */
  revoked: RevokeReason | undefined;
  /** When it was over: its end was evident, or its client had left. */
  endedAtMs = Infinity;
  /** When Redis first heard of it, and as which. */
  arrival: { atMs: number; number: number } | undefined;
  readonly #ended = Promise.withResolvers<void>();
  #over = false;
  /** Told when the socket is gone, and whether its client had left by itself. */
  onOver: (left: boolean) => void = () => {};
  #left = false;

  constructor(
    readonly process: SimulatedProcess,
    readonly clientId: string,
    readonly takesOver: boolean,
  ) {
    const { world } = process.options;
    this.sessionId = `${clientId}-${world.random.integer(0, 1e9)}`;
    this.connectedAtMs = Math.floor(WALL_MS + world.nowMs);
    this.claimedAtMs = world.nowMs;
  }

  get over(): boolean {
    return this.#over;
  }

  establish(): void {
    if (this.#over || this.revoked || this.endedAtMs !== Infinity) return;
    this.established = true;
    this.process.options.witness.onEstablish(this);
  }

  revoke(reason: RevokeReason): Promise<void> {
    const { costs, witness, world } = this.process.options;
    this.revoked = reason;
    witness.onRevoke(this, reason);
    this.process.spend(costs.askMs);
    world.at(
      this.process.hereMs + costs.evidenceMs(),
      () => this.process.deliver(() => this.#end()),
    );
    return this.#ended.promise;
  }

  deliver(): Promise<Delivery> {
    return Promise.resolve(this.established && !this.revoked && !this.#over ? "sent" : "closed");
  }

  cut(): void {
    if (this.#over) return;
    this.process.spend(this.process.options.costs.cutMs);
    this.#end();
  }

  /** Its client closes it; the process learns of it a moment later. */
  close(): void {
    const { world, witness } = this.process.options;
    if (this.#over || this.endedAtMs !== Infinity) return;
    this.#left = true;
    this.endedAtMs = world.nowMs;
    witness.onEnd(this);
    world.after(world.random.between(0.1, 2), () => this.process.deliver(() => this.#end()));
  }

  /** Its process was killed. */
  vanish(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.endedAtMs === Infinity) {
      this.endedAtMs = this.process.options.world.nowMs;
      this.process.options.witness.onEnd(this);
    }
    this.onOver(this.#left);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.endedAtMs === Infinity) {
      this.endedAtMs = this.process.hereMs;
      this.process.options.witness.onEnd(this);
    }
    this.#ended.resolve();
    this.process.onGone(this);
    this.onOver(this.#left);
  }
}
