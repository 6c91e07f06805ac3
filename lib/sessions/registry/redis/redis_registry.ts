import { messageOf, ProgramError, withoutPasswords } from "../../../service/errors.ts";
import { type Clock, delay, systemClock } from "../../../service/clock.ts";
import { getLogger } from "../../../service/log.ts";
import type { EventSource } from "../../events/events.ts";
import { type Connect, redisAt } from "../../redis_connection.ts";
import { RedisSetupError } from "../../redis_setup_error.ts";
import type { SessionEntry } from "../../session_entry.ts";
import { Blocks } from "../blocks.ts";
import type {
  Candidate,
  Condition,
  EndOptions,
  EndResult,
  RegistryState,
  SendResult,
  SessionRegistry,
} from "../registry.ts";
import { Announcer } from "./announcer.ts";
import { Fence } from "./fence.ts";
import { hashTag } from "./keys.ts";
import { Lease, type LeaseHost } from "./lease.ts";
import { Lines } from "./lines.ts";
import { Memory } from "./memory.ts";
import type { NodeMessage } from "./messages.ts";
import type { RegistryObserver } from "./observer.ts";
import { Operations } from "./operations.ts";
import { type HeldLease, RedisStore } from "./redis_store.ts";
import { Nodes, Sweeper } from "./sweeper.ts";

export type { RegistryObserver };

const log = getLogger(["solo", "registry"]);

/** How often the log may say that there are more sessions than the lease can end. */
const COMPLAINT_MS = 60_000;

export interface RedisRegistryOptions {
  /** Where Redis is, see redis_address.ts. */
  url: string;
  /** Stands in braces before every key and channel: not empty, and without braces. @default "solo" */
  prefix?: string;
  /** How long the others respect a process that they do not hear from; the same for all of them. @default 10_000 */
  leaseMs?: number;
  /** How many takeovers of one client a minute has room for, over the whole cluster. @default any number */
  takeoverLimit?: number;
  /** How long `start` waits for Redis. @default 5_000 */
  startTimeoutMs?: number;
  /** Asked for at each event: it may not be there yet while the registry starts. */
  observer?: () => RegistryObserver | undefined;
  /** @default systemClock */
  clock?: Clock;
  /** Makes the connections. @default connections to `url` */
  connect?: Connect;
  /** Makes a name that no node has had before. @default a random one */
  nodeName?: () => string;
}

/**
 * The registry of a cluster: any number of processes with the same Redis and prefix act as one.
 *
 * Each process is a node with a lease (`Lease`), under which it has places in the lines of clients (`Lines`). When the lease is
 * over they all end (`Fence`); when Redis has lost data they are all announced (`Announcer`, `Memory`); what the dead leave
 * behind is swept (`Sweeper`); and operators look up, end and write to single sessions (`Operations`). How all of it stands in Redis only `RedisStore` knows.
 */
export class RedisRegistry implements SessionRegistry {
  readonly #clock: Clock;
  readonly #observe: () => RegistryObserver | undefined;
  readonly #leaseMs: number;
  readonly #store: RedisStore;
  readonly #lease: Lease;
  readonly #lines: Lines;
  readonly #fence: Fence;
  readonly #announcer: Announcer;
  readonly #sweeper: Sweeper;
  readonly #memory: Memory = new Memory();
  readonly #blocks: Blocks;
  readonly #operations: Operations;
  /** Who waits for a renewal that was sent after this moment and finds the data complete. */
  #settling: { sinceMs: number; resolve: () => void }[] = [];
  #complainedAtMs = -Infinity;
  #closed = false;

  private constructor(options: RedisRegistryOptions) {
    const clock = options.clock ?? systemClock;
    const leaseMs = options.leaseMs ?? 10_000;
    const prefix = options.prefix ?? "solo";
    const observe = options.observer ?? (() => undefined);
    const memory = this.#memory;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#observe = observe;
    const store = this.#store = new RedisStore({
      connect: options.connect ?? redisAt(options.url, hashTag(prefix)),
      clock,
      prefix,
      commandTimeoutMs: leaseMs / 4,
      takeoverLimit: options.takeoverLimit ?? 0,
      onConnected: () => this.#lease.onConnected(),
      onLost: (error) => this.#lease.onLost(error),
      onRoundTrip: (ms) => observe()?.onRoundTrip?.(ms),
    });
    this.#fence = new Fence(clock, leaseMs);
    const blocks = this.#blocks = new Blocks(clock);
    const nodeName = options.nodeName ?? (() => crypto.randomUUID().slice(0, 8));
    this.#lease = new Lease({ store, clock, leaseMs, memory, nodeName, host: this.#leaseHost() });
    this.#lines = new Lines({
      store,
      clock,
      lease: this.#lease,
      observe,
      onBlocked: (clientId, ms) => blocks.add(clientId, ms),
    });
    this.#operations = new Operations({
      ...{ store, clock, leaseMs, blocks },
      lease: this.#lease,
      lines: this.#lines,
    });
    this.#sweeper = new Sweeper({
      store,
      clock,
      node: () => this.#lease.node,
      has: (sessionId) => this.#lines.has(sessionId),
      onSwept: (count) => observe()?.onGhostsSwept?.(count),
    });
    this.#announcer = new Announcer({
      lines: this.#lines,
      memory,
      renewEveryMs: this.#lease.renewEveryMs,
      onRestored: () => {
        this.#sweeper.includeOwn();
        this.#lease.hurry();
      },
    });
  }

  /**
   * Connects and takes a lease. It waits for the others to know of it, too, but no longer than the time allows where one of
   * them is out of reach, and not at all where Redis may have lost data or processes of an older version are running.
   *
   * @throws {ProgramError} when there is no lease within `startTimeoutMs`; the text says why.
   * @throws {TypeError} when `url` is no address.
   */
  static async start(options: RedisRegistryOptions): Promise<RedisRegistry> {
    const registry = new RedisRegistry(options);
    const clock = registry.#clock;
    const timeoutMs = options.startTimeoutMs ?? 5_000;
    const endMs = clock.nowMs() + timeoutMs;
    registry.#store.reconnect();
    registry.#lease.hurry();
    const settled = () => ["ready", "preceded"].includes(registry.state) || registry.#lease.settling;
    while (!settled() && clock.nowMs() < endMs) await delay(clock, 5);
    if (registry.state !== "unleased") return registry;
    const cause = registry.#store.lastError;
    const otherLeaseMs = registry.#lease.refusedLeaseMs;
    await registry[Symbol.asyncDispose]();
    if (otherLeaseMs !== undefined) {
      throw new ProgramError(
        `the other processes of this service have a lease of ${otherLeaseMs / 1000} s, this one of ` +
          `${registry.#leaseMs / 1000} s; give all the same --lease, or this one another --redis-prefix`,
      );
    }
    const why = cause ? messageOf(cause) || String(cause.name) : "it accepts connections but does not answer";
    const advice = cause instanceof RedisSetupError // its text ends with what to do
      ? ""
      : "; start it, correct --redis (or REDIS_URL), or run a single process with --redis off";
    throw new ProgramError(
      `cannot use Redis at ${withoutPasswords(options.url)} after ${timeoutMs / 1000} s: ${why}${advice}`,
      { cause },
    );
  }

  /** The name of this process in listings, until it loses its lease. */
  get node(): string {
    return this.#lease.node;
  }

  get state(): RegistryState {
    return this.#lease.state;
  }

  /** Where the scripts write what becomes of sessions, for whoever reads it. */
  get journal(): EventSource {
    return {
      ...this.#store.eventSource,
      range: (from, to, count) => this.#store.eventRange(from, to, count),
      settled: () => new Promise((resolve) => this.#settling.push({ sinceMs: this.#clock.nowMs(), resolve })),
    };
  }

  claim(candidate: Candidate): void {
    const { state } = this;
    if (state !== "unleased" && state !== "preceded" && !this.#isFull()) this.#lines.claim(candidate);
    else candidate.revoke({ kind: "lease-lost" });
  }

  release(candidate: Candidate): void {
    this.#lease.holds(); // a session that had outlived its lease is not ours to report
    this.#lines.release(candidate);
  }

  async *list(): AsyncGenerator<SessionEntry[]> {
    const nodes = new Nodes(this.#store);
    for await (const page of this.#store.lines()) {
      const established = page.map((line) => line.findLast((holder) => holder.established));
      const entries: SessionEntry[] = [];
      for (const holder of established) {
        if (holder && (nodes.live.has(holder.node) || await nodes.isLive(holder.node))) entries.push(holder);
      }
      if (entries.length > 0) yield entries;
    }
  }

  find(clientId: string): Promise<SessionEntry | undefined> {
    return this.#operations.find(clientId);
  }

  end(clientId: string, options?: EndOptions): Promise<EndResult> {
    return this.#operations.end(clientId, options);
  }

  send(clientId: string, text: string, condition?: Condition): Promise<SendResult> {
    return this.#operations.send(clientId, text, condition);
  }

  blockedMs(clientId: string): number {
    return this.#blocks.leftMs(clientId);
  }

  /** Gives the lease back. Sessions that still stand are cut. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#lease.close();
    this.#sweeper.close();
    this.#operations.close();
    await this.#lines.leave();
    if (this.#store.connected) await this.#store.forget(this.#lease.node).catch(() => {}); // else it ends by itself
    await this.#store.close();
  }

  /** The lease, as far as it concerns who holds sessions by it. */
  #leaseHost(): LeaseHost {
    return {
      marginMs: () => this.#fence.marginMs(this.#lines.size),
      endAll: (leftMs) => this.#fence.end(this.#lines.takeAll(), leftMs),
      checkEnd: () => void this.#fence.check(),
      onMessage: (message) => this.#onMessage(message),
      onRenewed: (reply, sentAtMs, missed) => this.#onRenewed(reply, sentAtMs, missed),
      onRenewalDone: (success) => this.#observe()?.onRenewal?.(success),
    };
  }

  #onMessage(message: NodeMessage): void {
    switch (message.kind) {
      case "evict":
      case "turn":
      case "end":
        return this.#lines.onMessage(message);
      default:
        this.#operations.onMessage(message);
    }
  }

  #onRenewed(reply: HeldLease, sentAtMs: number, missed: boolean): void {
    this.#memory.hear(reply, sentAtMs);
    if (reply.settled) this.#onSettled(sentAtMs);
    this.#announcer.onRenewed(reply, missed);
    this.#sweeper.onRenewed(reply);
    this.#operations.onRenewed(reply.generation, missed);
  }

  #onSettled(sentAtMs: number): void {
    const waiting = this.#settling;
    this.#settling = waiting.filter(({ sinceMs }) => sinceMs >= sentAtMs);
    for (const { sinceMs, resolve } of waiting) if (sinceMs < sentAtMs) resolve();
  }

  /** Whether there are as many sessions as can be ended within a lease. */
  #isFull(): boolean {
    if (this.#lines.size < this.#fence.capacity) return false;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#complainedAtMs > COMPLAINT_MS) {
      this.#complainedAtMs = nowMs;
      log.error(
        "turning clients away: a lease of {lease} ms can end no more than {count} sessions; make it longer",
        {
          lease: this.#leaseMs,
          count: this.#fence.capacity,
        },
      );
    }
    return true;
  }
}
