/** What is asked of Redis: one method for each atomic operation. Under which keys it is kept there, keys.ts says. */

import type { Clock } from "../../../service/clock.ts";
import type { Connect, Reply } from "../../redis_connection.ts";
import { Keys } from "./keys.ts";
import { type Holder, parseLine } from "./line.ts";
import { type NodeMessage, parseMessage } from "./messages.ts";
import { RedisLink } from "./redis_link.ts";
import { SCRIPTS } from "./scripts.ts";

/** What a claim is answered. */
export interface ClaimReply {
  answer:
    | "established"
    | "wait"
    | "replaced"
    | "blocked"
    | "lapsed"
    | "late"
    /** Refused: somebody is there, and it takes over from nobody. */
    | "occupied"
    /** Refused: too many takeovers; `first` is said to one only. */
    | "crowded"
    | "crowded-first";
  epoch: string;
  /** The newest session of the client, and its node. */
  newestSessionId: string;
  newestNode: string;
  /** Where the client is blocked: for how long yet. */
  blockedMs?: number;
}

/** What a renewal is answered when it was taken. */
export interface HeldLease {
  answer: "held";
  generation: string;
  /** Redis's own clock. */
  redisMs: number;
  /** The clock by which epochs are given. */
  epochUs: number;
  /** Whether a client without a line is known to be free. */
  settled: boolean;
  /** Whether the node may have sessions. */
  ready: boolean;
  /** How many nodes have joined in this generation. */
  joins: string;
  /** Those that may have sessions: they have a lease, or are still to announce what they have. None: it is not known. */
  nodes: string[];
  deadNodes: string[];
  /** Until it is ready: the nodes of versions that have no hash tag, each followed by the end of its lease. */
  predecessors: string[];
}

export type RenewReply =
  | HeldLease
  /** The others may treat the node as gone. */
  | { answer: "lapsed" }
  /** A newer connection of this process has renewed. */
  | { answer: "late" }
  /** The other nodes have another lease. */
  | { answer: "lease"; leaseMs: number };

/** What the caller of `release` knows of the session; see lua/release.lua. */
export type ReleaseMode = "held" | "ended" | "dead";

/** The id of an event and its text. */
type RawEvent = [id: string, text: string];

/** How a store reaches its Redis, and whom it tells. */
export interface RedisStoreOptions {
  connect: Connect;
  clock: Clock;
  /** Stands in braces before every key and channel: not empty, and without braces. */
  prefix: string;
  /** How long one command may take. */
  commandTimeoutMs: number;
  /** How many takeovers of one client a minute has room for; 0 for any number. */
  takeoverLimit: number;
  /** A connection was made, for the first time or again; messages may have been missed. */
  onConnected(): void;
  /** The connection is lost; a new one is being made. */
  onLost(error: Error): void;
  /** How long each answered command took. */
  onRoundTrip?(ms: number): void;
}

const NOBODY = { newestSessionId: "", newestNode: "" };

const ANSWERS: Record<string, ClaimReply["answer"]> = {
  e: "established",
  w: "wait",
  r: "replaced",
  b: "blocked",
  l: "lapsed",
  t: "late",
  o: "occupied",
  c: "crowded",
  f: "crowded-first",
};

/** One method for each atomic operation, over a connection to Redis that mends itself. */
export class RedisStore {
  readonly #link: RedisLink;
  readonly #connect: Connect;
  readonly #commandTimeoutMs: number;
  readonly #keys: Keys;
  readonly #takeoverLimit: string;

  constructor(options: RedisStoreOptions) {
    this.#link = new RedisLink({ ...options, scripts: Object.values(SCRIPTS) });
    this.#connect = options.connect;
    this.#commandTimeoutMs = options.commandTimeoutMs;
    this.#keys = new Keys(options.prefix);
    this.#takeoverLimit = String(options.takeoverLimit);
  }

  /** Whether commands can be sent. */
  get connected(): boolean {
    return this.#link.connected;
  }

  /** Grows with each connection that was begun. */
  get connection(): number {
    return this.#link.connection;
  }

  /** Why there is no connection, as far as is known. */
  get lastError(): Error | undefined {
    return this.#link.lastError;
  }

  /** Gives the connection up that there may be, and makes another; goes on trying until closed. Returns at once. */
  reconnect(): void {
    this.#link.reconnect();
  }

  async close(): Promise<void> {
    await this.#link.close();
  }

  /** Hears what is sent to a node, until the end of this connection. */
  async subscribe(node: string, listener: (message: NodeMessage) => void): Promise<void> {
    await this.#link.subscribe(this.#keys.channelPrefix + node, (text) => {
      const message = parseMessage(text);
      if (message) listener(message);
    });
  }

  /** Takes or asks about a place in the line of a client; see lua/claim.lua. */
  async claim(place: {
    clientId: string;
    sessionId: string;
    node: string;
    connectedAtMs: number;
    takesOver: boolean;
    /** `""` for a new place. */
    epoch: string;
    established: boolean;
    /** The generation and the connection of the last renewal. */
    generation: string;
    connection: number;
    /** Latest moment, by Redis's own clock. */
    validUntilMs: number;
    /** How long ago the connection came, where it could not be asked for at once or has to be asked for again. */
    ageMs?: number;
  }): Promise<ClaimReply> {
    const { clientId, sessionId, node, connectedAtMs, epoch, established } = place;
    const [answer, at, newestSessionId, newestNode] = await this.#link.run<[string, string, string, string]>(
      SCRIPTS.claim,
      [
        this.#keys.generation,
        this.#keys.bucketOf(clientId),
        this.#keys.nodes,
        this.#keys.members,
        this.#keys.epoch,
        this.#keys.events,
        this.#keys.blocked,
        this.#keys.takeoversOf(clientId),
      ],
      [
        clientId,
        sessionId,
        node,
        String(connectedAtMs),
        epoch,
        established ? "e" : "w",
        String(place.connection),
        place.generation,
        String(Math.floor(place.validUntilMs)),
        place.ageMs === undefined ? "" : String(Math.round(place.ageMs)),
        this.#keys.channelPrefix,
        place.takesOver ? "yes" : "no",
        this.#takeoverLimit,
      ],
    );
    if (answer === "b") {
      return { answer: "blocked", epoch: "", ...NOBODY, blockedMs: Number(newestSessionId) };
    }
    return { answer: ANSWERS[answer]!, epoch: at, newestSessionId, newestNode };
  }

  /** Takes a session out of the line of its client; returns whether it was there. See lua/release.lua. */
  async release(clientId: string, sessionId: string, mode: ReleaseMode): Promise<boolean> {
    const removed = await this.#link.run<number>(
      SCRIPTS.release,
      [this.#keys.generation, this.#keys.bucketOf(clientId), this.#keys.nodes, this.#keys.events],
      [clientId, sessionId, this.#keys.channelPrefix, mode],
    );
    return removed === 1;
  }

  /** Renews the lease of a node; see lua/renew.lua. */
  async renew(lease: {
    node: string;
    leaseMs: number;
    connection: number;
    mode: "join" | "joining" | "renew";
    /** The generation in which all sessions were announced; `""` for a process that has none from before. */
    generation: string;
    /** As the last renewal in that generation has said. */
    joins: string;
    nodes: string[];
    epochUs: number;
    /** A node that this process was; `""` for none. */
    formerNode: string;
  }): Promise<RenewReply> {
    const { node, leaseMs, connection, mode, generation, joins, nodes, epochUs, formerNode } = lease;
    type Held = [
      string,
      string,
      string,
      string,
      string,
      string,
      string | number,
      string[],
      string[],
      string[],
    ];
    const reply = await this.#link.run<[status: string, leaseMs: string] | Held>(
      SCRIPTS.renew,
      [this.#keys.generation, this.#keys.nodes, this.#keys.members, this.#keys.events],
      [
        node,
        String(leaseMs),
        String(connection),
        mode,
        generation,
        joins,
        String(Math.floor(epochUs)),
        formerNode,
        this.#keys.predecessors,
        ...nodes,
      ],
    );
    switch (reply[0]) {
      case "lapsed":
      case "late":
        return { answer: reply[0] };
      case "lease":
        return { answer: "lease", leaseMs: Number(reply[1]) };
    }
    const [
      ,
      heldGeneration,
      redisMs,
      heldEpochUs,
      settled,
      ready,
      heldJoins,
      heldNodes,
      deadNodes,
      predecessors,
    ] = reply as Held;
    return {
      answer: "held",
      generation: heldGeneration,
      redisMs: Number(redisMs),
      epochUs: Number(heldEpochUs),
      settled: settled === "settled",
      ready: ready === "ready",
      joins: String(heldJoins),
      nodes: heldNodes,
      deadNodes,
      predecessors,
    };
  }

  /** Forgets a node that leaves in order, or `""`, and those of others that are still dead. */
  async forget(node: string, dead: string[] = []): Promise<void> {
    const keys = [this.#keys.generation, this.#keys.nodes, this.#keys.members];
    await this.#link.run(SCRIPTS.forget, keys, [node, ...dead]);
  }

  /** The nodes that hold a lease now. */
  async liveNodes(): Promise<Set<string>> {
    return new Set(
      await this.#link.run<string[]>(SCRIPTS.nodes, [this.#keys.generation, this.#keys.nodes], []),
    );
  }

  /** Runs a script that stands behind lua/operation.lua. */
  operate<T extends Reply>(script: string, clientId: string, args: string[]): Promise<T> {
    const keys = [this.#keys.generation, this.#keys.bucketOf(clientId), this.#keys.nodes, this.#keys.members];
    return this.#link.run<T>(script, [...keys, this.#keys.epoch, this.#keys.blocked], [
      clientId,
      this.#keys.channelPrefix,
      ...args,
    ]);
  }

  /** Which clients are blocked, and for how long yet, ms. @param known Those that should be; see lua/blocked.lua. */
  async blocked(known: Iterable<[clientId: string, ms: number]>): Promise<[clientId: string, ms: number][]> {
    const args = [...known].flatMap(([clientId, ms]) => [clientId, String(Math.ceil(ms))]);
    const flat = await this.#link.run<string[]>(
      SCRIPTS.blocked,
      [this.#keys.generation, this.#keys.blocked],
      args,
    );
    const pairs: [string, number][] = [];
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i]!, Number(flat[i + 1])]);
    return pairs;
  }

  /** Sends a message to a node. */
  async tell(node: string, message: string): Promise<void> {
    await this.#link.publish(this.#keys.channelPrefix + node, message);
  }

  /** All lines, bucket by bucket: pages of holders, the oldest of a client first. The next page is read ahead. */
  async *lines(): AsyncGenerator<Holder[][]> {
    let next = this.#bucket(this.#keys.buckets[0]!);
    for (let i = 0; i < this.#keys.buckets.length; i++) {
      const bucket = await next;
      if (i + 1 < this.#keys.buckets.length) {
        next = this.#bucket(this.#keys.buckets[i + 1]!);
        next.catch(() => {}); // whoever goes on reading meets the error above
      }
      const page: Holder[][] = [];
      for (let f = 0; f < bucket.length; f += 2) page.push(parseLine(bucket[f]!, bucket[f + 1]!));
      if (page.length > 0) yield page;
    }
  }

  /** At most `count` events from the id `from` to the id `to`, both included. */
  async eventRange(from: string, to: string, count: number): Promise<RawEvent[]> {
    const entries = await this.#link.send<[id: string, fields: string[]][]>(
      ...["XRANGE", this.#keys.events, from, to, "COUNT", String(count)],
    );
    return entries.map(([id, fields]) => [id, fields[1] ?? ""]);
  }

  /** Where a reader of the events connects, and the key that it reads. */
  get eventSource(): { connect: Connect; key: string; timeoutMs: number } {
    return { connect: this.#connect, key: this.#keys.events, timeoutMs: this.#commandTimeoutMs };
  }

  #bucket(key: string): Promise<string[]> {
    return this.#link.send<string[]>("HGETALL", key);
  }
}
