import { setImmediate as nextTurn } from "node:timers/promises";
import { messageOf, ProgramError } from "../../../service/errors.ts";
import { type Clock, monotonicClock } from "../../../service/clock.ts";
import { getLogger } from "../../../service/log.ts";
import {
  type ClaimReply,
  type NodeMessage,
  RedisStore,
  type ReleaseMode,
  type RenewReply,
} from "./redis_store.ts";
import type { EventSource } from "../../events/events.ts";
import type { SessionEntry } from "../../session_entry.ts";
import type { Candidate, RegistryState, RevokeReason, SessionRegistry } from "../registry.ts";

const log = getLogger(["solo", "registry"]);

/** A claim that waits asks again this often, and so repeats its request to the older ones to go. */
const REPEAT_MS = 200;

/** Every session is compared with Redis once in this time, though no loss of a message is known. */
const RECONCILE_PERIOD_MS = 300_000;

/** How many sessions are announced at once after a reconnection. */
const ANNOUNCE_BATCH = 500;

/** What a `RedisRegistry` tells of its work. */
export interface RegistryObserver {
  onTakeover?(where: "local" | "remote"): void;
  /** How long a claim that found an older session waited for its turn. */
  onTakeoverDone?(ms: number): void;
  onEvictionRepeated?(): void;
  onGhostsSwept?(count: number): void;
  onRenewal?(success: boolean): void;
  onRoundTrip?(ms: number): void;
}

export interface RedisRegistryOptions {
  /** Where Redis is. */
  url: string;
  /** Stands before every key and channel. @default "solo" */
  prefix?: string;
  /** How long the others respect a process that they do not hear from. @default 10_000 */
  leaseMs?: number;
  /** How long `start` waits for Redis. @default 5_000 */
  startTimeoutMs?: number;
  /** @default the system's monotonic clock */
  clock?: Clock;
  /** Asked for at each event: it may not be there yet while the registry starts. */
  observer?: () => RegistryObserver | undefined;
}

interface Holding {
  readonly candidate: Candidate;
  readonly claimedAtMs: number;
  epoch: string;
  established: boolean;
  /** Told to go; it is held until its end is evident. */
  ending: boolean;
  /** Whether it had to wait for an older session. */
  waited: boolean;
  repeat?: ReturnType<typeof setTimeout>;
}

/**
 * The registry of a cluster: any number of processes with the same Redis and prefix act as one.
 *
 * Each process is a node with a lease, renewed often. Its own deadline is counted from before the renewal was sent and
 * ends a margin earlier than the one the others see in Redis: whatever happens to the network, Redis or the process, a
 * node that lost touch has ended its sessions before anyone treats them as gone. It comes back as a new node.
 */
export class RedisRegistry implements SessionRegistry {
  readonly #store: RedisStore;
  readonly #clock: Clock;
  readonly #observe: () => RegistryObserver | undefined;
  readonly #leaseMs: number;
  readonly #marginMs: number;
  readonly #renewEveryMs: number;
  readonly #holdings = new Map<string, Holding>();
  /** Sessions that have ended while Redis could not be told, by session_id. */
  readonly #unreleased = new Map<string, { clientId: string; mode: ReleaseMode }>();

  #node = newNode();
  /** End of our lease as we respect it, by both clocks: the monotonic one stands still while a machine is suspended. */
  #leaseEnd = { monotonicMs: -Infinity, wallMs: -Infinity };
  /** In which all our sessions are announced; see lua/renew.lua. */
  #generation = "";
  /** Those that may have sessions in it. */
  #knownNodes: string[] = [];
  /** What we were before the last lease was lost, and from when on its sessions have surely ended. */
  #former = { node: "", endedAtMs: -Infinity };
  /** When every node that is in touch with Redis has seen our lease: no session before that. */
  #seenAtMs = -Infinity;
  /** Redis's clock less ours, ms. */
  #clockOffsetMs = 0;
  #subscribed = false;
  #missedMessages = false;
  #announcing = false;
  /** Whether a renewal on this connection has said what generation the data is of; no claim before that. */
  #trusted = false;
  #unreachable = true;
  #tick: ReturnType<typeof setTimeout> | undefined;
  #fenceTimer: ReturnType<typeof setTimeout> | undefined;
  #ticking = false;
  #lastAnswerAtMs: number;
  #sweeping = false;
  #sweepAll = false;
  #reconcile: Iterator<Holding> | undefined;
  /** Who waits for a renewal that was sent after this moment and finds the data complete. */
  #settling: { sinceMs: number; resolve: () => void }[] = [];
  #closed = false;

  private constructor(options: RedisRegistryOptions) {
    this.#clock = options.clock ?? monotonicClock;
    this.#observe = options.observer ?? (() => undefined);
    this.#leaseMs = options.leaseMs ?? 10_000;
    // For the time that closing many sockets takes, and for clocks that run at different speeds.
    this.#marginMs = this.#leaseMs * 0.1;
    // Often, so that almost the whole lease is left at whatever moment Redis goes away.
    this.#renewEveryMs = this.#leaseMs / 20;
    this.#lastAnswerAtMs = this.#clock.nowMs();
    this.#store = new RedisStore({
      url: options.url,
      prefix: options.prefix ?? "solo",
      commandTimeoutMs: this.#leaseMs / 4,
      onConnected: () => this.#onConnected(),
      onLost: (error) => this.#onLost(error),
      onRoundTrip: (ms) => this.#observe()?.onRoundTrip?.(ms),
    });
  }

  /**
   * Connects and takes a lease.
   *
   * @throws {ProgramError} when there is no lease within `startTimeoutMs`; the text says why.
   */
  static async start(options: RedisRegistryOptions): Promise<RedisRegistry> {
    const registry = new RedisRegistry(options);
    registry.#store.reconnect();
    const timeoutMs = options.startTimeoutMs ?? 5_000;
    const end = performance.now() + timeoutMs;
    while (registry.state !== "ready" && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (registry.state === "ready") return registry;
    const cause = registry.#store.lastError;
    await registry[Symbol.asyncDispose]();
    const why = cause ? messageOf(cause) || String(cause.name) : "it accepts connections but does not answer";
    throw new ProgramError(
      `cannot use Redis at ${redact(options.url)} after ${timeoutMs / 1000} s: ${why}; ` +
        "start it, correct --redis (or REDIS_URL), or run a single process with --redis off",
      { cause },
    );
  }

  /** The name of this process in listings, until it loses its lease. */
  get node(): string {
    return this.#node;
  }

  get state(): RegistryState {
    if (!this.#holdsLease()) return "unleased";
    if (this.#unreachable) return "unreachable";
    return this.#clock.nowMs() < this.#seenAtMs ? "joining" : "ready";
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
    if (!this.#holdsLease()) {
      candidate.revoke({ kind: "lease-lost" });
      return;
    }
    const holding: Holding = {
      candidate,
      claimedAtMs: this.#clock.nowMs(),
      epoch: "",
      established: false,
      ending: false,
      waited: false,
    };
    this.#holdings.set(candidate.sessionId, holding);
    this.#ask(holding);
  }

  release(candidate: Candidate): void {
    this.#holdsLease(); // a session that had outlived its lease is not ours to report
    const holding = this.#holdings.get(candidate.sessionId);
    if (holding?.candidate !== candidate) return;
    this.#forget(holding);
    this.#confirm(candidate.clientId, candidate.sessionId, modeOf(holding));
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

  /** Gives the lease back. Sessions that still stand are taken out of their lines without a word to their sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#tick);
    clearTimeout(this.#fenceTimer);
    const left = [...this.#holdings.values()];
    this.#holdings.clear();
    for (const holding of left) {
      clearTimeout(holding.repeat);
      const { clientId, sessionId } = holding.candidate;
      this.#unreleased.set(sessionId, { clientId, mode: modeOf(holding) });
    }
    if (this.#store.connected) {
      await Promise.all(
        [...this.#unreleased].map(([sessionId, { clientId, mode }]) =>
          this.#confirm(clientId, sessionId, mode)
        ),
      );
      await this.#store.forget(this.#node).catch(() => {}); // the lease ends by itself
    }
    await this.#store.close();
  }

  // ---- one session ------------------------------------------------------------------------------------------------

  /**
   * Takes a place in the line, or asks about the one it has, and does what the answer says.
   *
   * @returns whether there was an answer; without one, a waiting session asks again by itself.
   */
  async #ask(holding: Holding): Promise<boolean> {
    const reply = await this.#requestPlace(holding);
    if (!this.#holds(holding) || holding.ending) return true;
    if (reply?.epoch) holding.epoch = reply.epoch;
    switch (reply?.answer) {
      case "established":
        this.#establish(holding);
        return true;
      case "replaced": {
        const { newestSessionId: bySessionId, newestNode: byNode } = reply;
        this.#revoke(holding, { kind: "replaced", bySessionId, byNode });
        return true;
      }
      case "lapsed":
        this.#hurry();
        break;
      case "wait":
        if (holding.waited) this.#observe()?.onEvictionRepeated?.();
        holding.waited = true;
    }
    if (!holding.established) {
      clearTimeout(holding.repeat); // two questions may have been on their way
      holding.repeat = setTimeout(() => this.#ask(holding), REPEAT_MS);
    }
    return reply?.answer === "wait";
  }

  /** `undefined` where Redis cannot be asked or does not answer; it may have taken effect, which does no harm. */
  async #requestPlace({ candidate, epoch, established }: Holding): Promise<ClaimReply | undefined> {
    const nowMs = this.#clock.nowMs();
    if (!this.#trusted || nowMs < this.#seenAtMs) return undefined;
    try {
      return await this.#store.claim({
        clientId: candidate.clientId,
        sessionId: candidate.sessionId,
        node: this.#node,
        connectedAtMs: candidate.connectedAtMs,
        epoch,
        established,
        validUntilMs: nowMs + this.#clockOffsetMs + this.#leaseMs / 4,
      });
    } catch {
      return undefined;
    }
  }

  #establish(holding: Holding): void {
    if (holding.established || holding.ending || !this.#holdsLease() || !this.#holds(holding)) return;
    clearTimeout(holding.repeat);
    holding.established = true;
    if (holding.waited) this.#observe()?.onTakeoverDone?.(this.#clock.nowMs() - holding.claimedAtMs);
    holding.candidate.establish();
  }

  /** Ends a session, and when its end is evident confirms that to whoever waits for it; until then it is held. */
  async #revoke(holding: Holding, reason: RevokeReason): Promise<void> {
    if (holding.ending) return;
    holding.ending = true;
    clearTimeout(holding.repeat);
    await holding.candidate.revoke(reason);
    this.release(holding.candidate);
  }

  /** Tells Redis that a session has ended; what cannot be told now is told after the reconnection. */
  async #confirm(clientId: string, sessionId: string, mode: ReleaseMode): Promise<void> {
    try {
      await this.#store.release(clientId, sessionId, mode);
      this.#unreleased.delete(sessionId);
    } catch {
      if (!this.#closed) this.#unreleased.set(sessionId, { clientId, mode });
    }
  }

  #holds(holding: Holding): boolean {
    return this.#holdings.get(holding.candidate.sessionId) === holding;
  }

  #forget(holding: Holding): void {
    clearTimeout(holding.repeat);
    this.#holdings.delete(holding.candidate.sessionId);
  }

  #onMessage(message: NodeMessage): void {
    if (!this.#holdsLease()) return;
    const holding = this.#holdings.get(message.sessionId);
    if (message.kind === "turn") {
      if (holding) this.#establish(holding);
      return;
    }
    const { clientId, sessionId, bySessionId, byNode } = message;
    if (!holding) {
      this.#confirm(clientId, sessionId, "ended"); // an entry without a socket: a release that is under way, or was lost
      return;
    }
    if (holding.ending) return; // whoever asks again is answered when it has ended
    this.#observe()?.onTakeover?.(byNode === this.#node ? "local" : "remote");
    this.#revoke(holding, { kind: "replaced", bySessionId, byNode });
  }

  // ---- the lease --------------------------------------------------------------------------------------------------

  /** Whether our sessions may live; ends them where they may not. To be asked before anything is sent. */
  #holdsLease(): boolean {
    const { monotonicMs, wallMs } = this.#leaseEnd;
    if (this.#clock.nowMs() < monotonicMs && Date.now() < wallMs) return true;
    if (monotonicMs !== -Infinity) this.#fence("Redis has not renewed it");
    return false;
  }

  /** Ends every session and leaves the cluster; the next lease is a new node's, so nothing old can come back. */
  #fence(why: string): void {
    const holdings = [...this.#holdings.values()];
    log.warn("lease of node {node} is over ({why}): ending {count} sessions", {
      node: this.#node,
      why,
      count: holdings.length,
    });
    const former = this.#node;
    this.#former = { node: former, endedAtMs: this.#clock.nowMs() + this.#marginMs };
    this.#node = newNode();
    this.#subscribed = false;
    this.#leaseEnd = { monotonicMs: -Infinity, wallMs: -Infinity };
    clearTimeout(this.#fenceTimer);
    this.#holdings.clear();
    this.#unreleased.clear();
    for (const { candidate, repeat } of holdings) {
      clearTimeout(repeat);
      candidate.revoke({ kind: "lease-lost" });
    }
    this.#store.unsubscribe(former).catch(() => {}); // no one is left to write to it
  }

  #onConnected(): void {
    this.#trusted = false;
    this.#missedMessages = true;
    this.#hurry();
  }

  #onLost(error: Error): void {
    if (!this.#unreachable) {
      log.warn("Redis is lost: {error}; sessions live on until the lease ends", { error: messageOf(error) });
    }
    this.#trusted = false;
    this.#unreachable = true;
  }

  /** Renews at once. */
  #hurry(): void {
    if (this.#closed || this.#ticking) return;
    clearTimeout(this.#tick);
    this.#onTick();
  }

  async #onTick(): Promise<void> {
    this.#ticking = true;
    const startedAtMs = this.#clock.nowMs();
    // First of all: after a standstill of the process this is the earliest of all timers, and those of the platform
    // that would send PING to sessions that have ended are still to come.
    this.#holdsLease();
    try {
      if (this.#store.connected) await this.#renew();
      this.#holdsLease();
    } catch (error) {
      this.#observe()?.onRenewal?.(false);
      log.warn("lease not renewed: {error}", { error: messageOf(error) });
      this.#unreachable = true;
    }
    this.#ticking = false;
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastAnswerAtMs > this.#leaseMs / 4) {
      // a connection that is open and dead, or one that never gets ready
      this.#lastAnswerAtMs = nowMs;
      this.#subscribed = false;
      this.#trusted = false;
      this.#unreachable = true;
      this.#store.reconnect();
    }
    clearTimeout(this.#tick);
    this.#tick = setTimeout(() => this.#onTick(), Math.max(0, this.#renewEveryMs - (nowMs - startedAtMs)));
  }

  async #renew(): Promise<void> {
    const node = this.#node;
    if (!this.#subscribed) {
      await this.#store.subscribe(node, (message) => this.#onMessage(message));
      if (node !== this.#node) return;
      this.#subscribed = true;
      this.#missedMessages = true;
    }
    const joining = this.#leaseEnd.monotonicMs === -Infinity;
    const sentAt = { monotonicMs: this.#clock.nowMs(), wallMs: Date.now() };
    const formerNode = sentAt.monotonicMs < this.#former.endedAtMs ? "" : this.#former.node;
    const reply = await this.#store.renew({
      node,
      leaseMs: this.#leaseMs,
      knownGeneration: this.#generation,
      mode: joining ? "join" : "renew",
      graceMs: this.#renewEveryMs * 2,
      formerNode,
      knownNodes: this.#knownNodes,
    });
    this.#lastAnswerAtMs = this.#clock.nowMs();
    if (this.#closed || node !== this.#node) return;
    if (reply.lapsed) return this.#fence("the others no longer respect it");
    this.#trusted = this.#store.connected;
    this.#holdUntil(sentAt);
    if (joining) this.#seenAtMs = this.#lastAnswerAtMs + this.#renewEveryMs * 2;
    if (!this.#holdsLease()) return;
    this.#clockOffsetMs = reply.redisNowMs - this.#lastAnswerAtMs;
    this.#observe()?.onRenewal?.(true);
    if (this.#unreachable) {
      log.info("node {node} holds a lease of {lease} ms", { node, lease: this.#leaseMs });
    }
    this.#unreachable = false;
    if (formerNode !== "" && reply.generation === this.#generation) this.#former.node = "";
    if (reply.settled) this.#onSettled(sentAt.monotonicMs);
    this.#afterRenewal(reply);
  }

  #holdUntil(sentAt: { monotonicMs: number; wallMs: number }): void {
    const holdMs = this.#leaseMs - this.#marginMs;
    this.#leaseEnd = { monotonicMs: sentAt.monotonicMs + holdMs, wallMs: sentAt.wallMs + holdMs };
    clearTimeout(this.#fenceTimer);
    this.#fenceTimer = setTimeout(() => this.#holdsLease(), this.#leaseEnd.monotonicMs - this.#clock.nowMs());
  }

  // ---- keeping Redis true -----------------------------------------------------------------------------------------

  #afterRenewal({ generation, settled, nodes, deadNodes }: RenewReply & { lapsed: false }): void {
    if (generation === this.#generation) this.#knownNodes = nodes;
    if (generation !== this.#generation || this.#missedMessages) this.#announce(generation);
    else this.#reconcileSome();
    if (settled && (deadNodes.length > 0 || this.#sweepAll)) this.#sweep();
  }

  #onSettled(sentAtMs: number): void {
    const waiting = this.#settling;
    this.#settling = waiting.filter(({ sinceMs }) => sinceMs >= sentAtMs);
    for (const { sinceMs, resolve } of waiting) if (sinceMs < sentAtMs) resolve();
  }

  /** Asks about every session: the answers put back what was lost and end what was replaced meanwhile. */
  async #announce(generation: string): Promise<void> {
    if (this.#announcing) return;
    this.#announcing = true;
    this.#missedMessages = false;
    const lost = this.#generation !== "" && generation !== this.#generation;
    if (lost) {
      log.warn("Redis may have lost data: announcing {count} sessions", { count: this.#holdings.size });
      this.#sweepAll = true;
    }
    for (const [sessionId, { clientId, mode }] of this.#unreleased) this.#confirm(clientId, sessionId, mode);
    const holdings = [...this.#holdings.values()];
    let answered = true;
    for (let i = 0; i < holdings.length && answered; i += ANNOUNCE_BATCH) {
      const batch = holdings.slice(i, i + ANNOUNCE_BATCH).filter((holding) => this.#holds(holding));
      const answers = await Promise.all(batch.map((holding) => this.#askAgain(holding)));
      answered = answers.every(Boolean);
    }
    if (answered) this.#generation = generation;
    else this.#missedMessages = true;
    this.#announcing = false;
  }

  #reconcileSome(): void {
    const share = Math.ceil(this.#holdings.size * this.#renewEveryMs / RECONCILE_PERIOD_MS);
    for (let i = 0; i < share; i++) {
      this.#reconcile ??= this.#holdings.values();
      const { value, done } = this.#reconcile.next();
      if (done) this.#reconcile = undefined;
      else if (value.established) this.#askAgain(value);
    }
  }

  #askAgain(holding: Holding): Promise<boolean> {
    clearTimeout(holding.repeat);
    return this.#ask(holding);
  }

  /** Takes the entries of dead nodes out of their lines, and our own that have no socket, a bucket at a time. */
  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const all = this.#sweepAll;
    this.#sweepAll = false;
    try {
      let swept = 0;
      const beganAtRedisMs = this.#clock.nowMs() + this.#clockOffsetMs;
      const nodes = new Nodes(this.#store);
      for await (const page of this.#store.lines()) {
        if (this.#closed) return;
        for (const { clientId, sessionId, node } of page.flat()) {
          const mine = node === this.#node;
          if (mine ? !all || this.#holdings.has(sessionId) : await nodes.isLive(node)) continue;
          if (await this.#store.release(clientId, sessionId, mine ? "ended" : "dead")) swept++;
        }
        await nextTurn();
      }
      await this.#store.forgetDead(beganAtRedisMs);
      if (swept > 0) {
        this.#observe()?.onGhostsSwept?.(swept);
        log.info("swept {swept} entries that nobody holds", { swept });
      }
    } catch (error) {
      this.#sweepAll ||= all;
      log.debug("sweep not finished: {error}", { error: messageOf(error) });
    } finally {
      this.#sweeping = false;
    }
  }
}

/** What the caller of a release knows of its session. */
function modeOf({ established }: Holding): ReleaseMode {
  return established ? "held" : "ended";
}

/** Which nodes hold a lease, asked for again whenever an entry names one that is not known. */
class Nodes {
  /** Those known to hold one. */
  live: Set<string> = new Set();
  readonly #dead = new Set<string>();

  constructor(readonly store: RedisStore) {}

  /** To be asked after the entry was read: a node takes its lease before its first entry, so a live one is found. */
  async isLive(node: string): Promise<boolean> {
    if (this.live.has(node)) return true;
    if (this.#dead.has(node)) return false;
    this.live = await this.store.liveNodes();
    if (!this.live.has(node)) this.#dead.add(node);
    return this.live.has(node);
  }
}

/** A name that no process has had before. */
function newNode(): string {
  return crypto.randomUUID().slice(0, 8);
}

/** A Redis URL that may be printed. */
function redact(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.password) parsed.password = "***";
    return parsed.href;
  } catch {
    return url;
  }
}
