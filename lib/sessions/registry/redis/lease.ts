import { messageOf } from "../../../service/errors.ts";
import type { Clock, Timer } from "../../../service/clock.ts";
import { getLogger } from "../../../service/log.ts";
import type { RegistryState } from "../registry.ts";
import type { Memory } from "./memory.ts";
import type { NodeMessage } from "./messages.ts";
import { Outage } from "./outage.ts";
import { Predecessors } from "./predecessors.ts";
import type { HeldLease, RedisStore } from "./redis_store.ts";

const log = getLogger(["solo", "registry"]);

/**
 * The part of a lease that is not ours, since the others count from a later moment, by another clock: half of it for a step of
 * Redis's clock (see lua/shared.lua), half for clocks that run at different speeds and for timers that are late.
 */
const MARGIN = 0.1;

/** Often, so that almost the whole lease is left at whatever moment Redis goes away. */
const RENEWALS = 20;

/** A node that joins renews this many times as often: it has yet to hear that the others know of it. */
const JOINING_HASTE = 4;

/** A connection that is not ready, or has no answer, for this part of the lease is given up. */
const PATIENCE = 1 / 4;

/** What a claim must name to be taken: a later renewal makes it void. */
export interface Terms {
  node: string;
  connection: number;
  generation: string;
  /** When this connection will be given up unless there is another answer, by Redis's own clock. */
  validUntilMs: number;
}

/** What holds sessions by the lease. */
export interface LeaseHost {
  /** How long before the end of the lease its sessions must begin to end, ms. */
  marginMs(): number;
  /** Ends them all; kept when that is evident. `leftMs` tells how much is left of the lease. */
  endAll(leftMs: () => number): Promise<void>;
  /** Cuts what is left of them when it is time to. */
  checkEnd(): void;
  onMessage(message: NodeMessage): void;
  /** @param missed Whether messages may have been missed since the last time. */
  onRenewed(reply: HeldLease, sentAtMs: number, missed: boolean): void;
  onRenewalDone(success: boolean): void;
}

/**
 * The lease of this process: who it is in the cluster, and until when it may have sessions.
 *
 * It is renewed often. Its end is counted from before the renewal was sent, and comes a margin earlier than the one that
 * the others see in Redis: whatever happens to the network, Redis or the process, a node that lost touch has ended its
 * sessions before anyone treats them as gone. Then the process comes back as a new node, so nothing old can come back.
 */
export class Lease {
  readonly #store: RedisStore;
  readonly #clock: Clock;
  readonly #host: LeaseHost;
  readonly #memory: Memory;
  readonly #predecessors: Predecessors;
  readonly #leaseMs: number;
  readonly #renewEveryMs: number;

  readonly #nodeName: () => string;

  #node: string;
  /** When the last renewal that was answered was sent: the monotonic clock stands still while a machine is suspended. */
  #sentAt: { monotonicMs: number; wallMs: number } | undefined;
  /** It is over, or will be: its sessions are being ended. */
  #ending = false;
  /** Whether the node may have sessions. */
  #ready = false;
  /** Whether Redis may lack sessions, by its last answer. */
  #settling = false;
  /** What we were before the last lease was lost; all its sessions have ended. */
  #formerNode = "";
  /** Of the last renewal on this connection; no claim without it. */
  #terms: Terms | undefined;
  #unreachable = true;
  readonly #outage = new Outage();
  /** The connection on which we hear what is sent to this node. */
  #subscribed: { connection: number; node: string } | undefined;
  #missedMessages = false;
  #lastAnswerAtMs: number;
  #refusedLeaseMs: number | undefined;
  #tick: Timer | undefined;
  #fenceTimer: Timer | undefined;
  #ticking = false;
  #closed = false;

  constructor(
    options: {
      store: RedisStore;
      clock: Clock;
      leaseMs: number;
      memory: Memory;
      /** Makes a name that no node has had before. */
      nodeName: () => string;
      host: LeaseHost;
    },
  ) {
    this.#store = options.store;
    this.#nodeName = options.nodeName;
    this.#node = options.nodeName();
    this.#clock = options.clock;
    this.#host = options.host;
    this.#memory = options.memory;
    this.#predecessors = new Predecessors(options.leaseMs);
    this.#leaseMs = options.leaseMs;
    this.#renewEveryMs = options.leaseMs / RENEWALS;
    this.#lastAnswerAtMs = this.#clock.nowMs();
  }

  /** The name of this process in listings, until it loses its lease. */
  get node(): string {
    return this.#node;
  }

  get state(): RegistryState {
    if (!this.holds()) return "unleased";
    if (this.#unreachable) return "unreachable";
    if (this.#predecessors.alive > 0) return "preceded";
    return this.#ready ? "ready" : "joining";
  }

  /** Whether it has a lease, and waits for who may have sessions that Redis does not know of: for a lease at most. */
  get settling(): boolean {
    return this.#settling && this.state === "joining";
  }

  /** What a claim has to name; nothing while none can be made. */
  get terms(): Terms | undefined {
    return this.#ready ? this.#terms : undefined;
  }

  /** The lease of the others, where ours was refused because it is another one, ms. */
  get refusedLeaseMs(): number | undefined {
    return this.#refusedLeaseMs;
  }

  get renewEveryMs(): number {
    return this.#renewEveryMs;
  }

  /** Whether our sessions may live; ends them where they may not. To be asked before anything is sent. */
  holds(): boolean {
    if (this.#ending) this.#host.checkEnd();
    if (!this.#sentAt || this.#ending) return false;
    if (this.#leftMs(this.#sentAt) > this.#host.marginMs()) return true;
    this.#end("Redis has not renewed it", this.#sentAt);
    return false;
  }

  /** There is a new connection. */
  onConnected(): void {
    this.#lastAnswerAtMs = this.#clock.nowMs(); // a busy machine may have taken all of its patience to get here
    this.#terms = undefined;
    this.#missedMessages = true;
    this.hurry();
  }

  onLost(error: Error): void {
    this.#outage.hear(error, { begins: !this.#unreachable, starting: !this.#sentAt && !this.#formerNode });
    this.#terms = undefined;
    this.#unreachable = true;
  }

  /** Renews at once. */
  hurry(): void {
    if (this.#closed || this.#ticking) return;
    this.#tick?.[Symbol.dispose]();
    this.#onTick();
  }

  /** Renews no more. */
  close(): void {
    this.#closed = true;
    this.#tick?.[Symbol.dispose]();
    this.#fenceTimer?.[Symbol.dispose]();
  }

  async #onTick(): Promise<void> {
    this.#ticking = true;
    const startedAtMs = this.#clock.nowMs();
    // First of all: after a standstill of the process this is the earliest of all timers, and those of the platform
    // that would send PING to sessions that have ended are still to come.
    this.holds();
    try {
      if (this.#store.connected && !this.#ending) await this.#renew();
      this.holds();
    } catch (error) {
      this.#host.onRenewalDone(false);
      log.warn("lease not renewed: {error}", { error: messageOf(error) });
      this.#unreachable = true;
    }
    this.#ticking = false;
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastAnswerAtMs > this.#leaseMs * PATIENCE) {
      // a connection that is open and dead, or one that never gets ready
      this.#lastAnswerAtMs = nowMs;
      this.#terms = undefined;
      this.#unreachable = true;
      this.#store.reconnect();
    }
    const everyMs = this.#sentAt && !this.#ready ? this.#renewEveryMs / JOINING_HASTE : this.#renewEveryMs;
    this.#tick?.[Symbol.dispose]();
    this.#tick = this.#clock.after(Math.max(0, everyMs - (nowMs - startedAtMs)), () => this.#onTick());
  }

  async #renew(): Promise<void> {
    const node = this.#node;
    const connection = this.#store.connection;
    const current = () => !this.#closed && node === this.#node && connection === this.#store.connection;
    if (this.#subscribed?.connection !== connection || this.#subscribed.node !== node) {
      await this.#store.subscribe(node, (message) => {
        if (node === this.#node && this.holds()) this.#host.onMessage(message);
      });
      if (!current()) return;
      this.#subscribed = { connection, node };
      this.#missedMessages = true;
    }
    const sentAt = { monotonicMs: this.#clock.nowMs(), wallMs: this.#clock.wallMs() };
    const formerNode = this.#formerNode;
    const { generation } = this.#memory;
    const reply = await this.#store.renew({
      node,
      leaseMs: this.#leaseMs,
      connection,
      mode: !this.#sentAt ? "join" : this.#ready ? "renew" : "joining",
      ...this.#memory.told(sentAt.monotonicMs),
      formerNode,
    });
    const answeredAtMs = this.#clock.nowMs();
    if (!current() || this.#ending) return;
    this.#lastAnswerAtMs = answeredAtMs;
    switch (reply.answer) {
      case "late": // cannot be: no newer connection than the current one has renewed
        return this.#store.reconnect();
      case "lapsed":
        if (this.#sentAt) this.#end("the others no longer respect it", undefined);
        return;
      case "lease":
        this.#refusedLeaseMs = reply.leaseMs;
        log.error("no lease: the other processes have one of {others} ms, this one of {ours} ms", {
          others: reply.leaseMs,
          ours: this.#leaseMs,
        });
        return;
    }
    this.#sentAt = sentAt;
    const before = { ready: this.#ready, unreachable: this.#unreachable };
    this.#predecessors.hear(reply.predecessors, sentAt.monotonicMs, answeredAtMs);
    const alone = this.#predecessors.alive === 0;
    // it knows not all nodes that may have sessions, and so is no witness of them (see lua/generation.lua)
    if (!alone) reply.nodes = [];
    this.#ready ||= reply.ready && alone;
    this.#settling = !reply.settled;
    this.#terms = {
      node,
      connection,
      generation: reply.generation,
      validUntilMs: reply.redisMs + this.#leaseMs * PATIENCE,
    };
    if (!this.holds()) return;
    this.#watch();
    this.#host.onRenewalDone(true);
    this.#unreachable = false;
    this.#outage.over();
    this.#report(before);
    if (reply.generation === generation && this.#formerNode === formerNode) this.#formerNode = "";
    const missed = this.#missedMessages;
    this.#missedMessages = false;
    this.#host.onRenewed(reply, sentAt.monotonicMs, missed);
  }

  /** Says in the log what has changed. */
  #report(before: { ready: boolean; unreachable: boolean }): void {
    const node = this.#node, lease = this.#leaseMs;
    if (before.unreachable) log.info("node {node} holds a lease of {lease} ms", { node, lease });
    if (before.unreachable && this.settling) {
      log.info("Redis may have lost data: node {node} waits for who may have sessions, {lease} ms at most", {
        node,
        lease,
      });
    }
    if (!before.ready && this.#ready) log.info("node {node} takes sessions", { node });
  }

  /** How much is left of the lease, by the clock that says less. */
  #leftMs(sentAt: { monotonicMs: number; wallMs: number }): number {
    const passedMs = Math.max(this.#clock.nowMs() - sentAt.monotonicMs, this.#clock.wallMs() - sentAt.wallMs);
    return this.#leaseMs * (1 - MARGIN) - passedMs;
  }

  /** Looks at the lease when it is time to, though nothing else happens. */
  #watch(): void {
    this.#fenceTimer?.[Symbol.dispose]();
    const waitMs = this.#sentAt ? this.#leftMs(this.#sentAt) - this.#host.marginMs() : 0;
    this.#fenceTimer = this.#clock.after(Math.max(0, waitMs), () => {
      if (this.holds()) this.#watch();
    });
  }

  /**
   * Ends every session and leaves the cluster.
   *
   * @param sentAt From which moment on the lease was; `undefined` where it is over already.
   */
  async #end(why: string, sentAt: { monotonicMs: number; wallMs: number } | undefined): Promise<void> {
    log.warn("lease of node {node} is over ({why}): ending its sessions", { node: this.#node, why });
    this.#ending = true;
    this.#terms = undefined;
    this.#fenceTimer?.[Symbol.dispose]();
    await this.#host.endAll(() => sentAt ? this.#leftMs(sentAt) : 0);
    this.#memory.forget();
    this.#formerNode = this.#node;
    this.#node = this.#nodeName();
    this.#sentAt = undefined;
    this.#ready = false;
    this.#ending = false;
    this.hurry();
  }
}
