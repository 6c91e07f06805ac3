/**
 * What the cluster keeps in Redis, and the only place that knows how: keys, commands, the text of a line.
 *
 * With the prefix `solo`: `{solo}:sessions:0` … `{solo}:sessions:255`, hashes `client_id -> line` (see lua/shared.lua), a
 * client in the bucket of its hash, so that a listing reads small pieces, each of one moment; `{solo}:nodes`, a sorted
 * set `node -> end of lease`; `{solo}:members`, a hash of what else is known of each node (see lua/renew.lua);
 * `{solo}:epoch`; `{solo}:blocked`, a sorted set `client_id -> end of its block` (see lua/operation.lua); `{solo}:generation`
 * (see lua/generation.lua); `{solo}:events`, a stream (see lua/shared.lua); `{solo}:takeovers:<client_id>` for those that were
 * taken over of late (see lua/takeovers.lua); a channel `{solo}:node:<node>` each. The braces are a hash tag: in a Redis Cluster
 * all keys with the same one are in one slot, and so on one node, where a script may use them together.
 */

import type { Clock } from "../../../service/clock.ts";
import type { Connect, Reply } from "../../redis_connection.ts";
import type { SessionEntry } from "../../session_entry.ts";
import { type NodeMessage, parseMessage } from "./messages.ts";
import { RedisLink } from "./redis_link.ts";
import { SCRIPTS } from "./scripts.ts";

export type { NodeMessage };

/** Into how many hashes the sessions are spread: one of a million sessions has some 4,000 in each. */
const BUCKETS = 256;

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

/** One place in a line. */
export interface Holder extends SessionEntry {
  /** Whether it may be talking to its client. */
  established: boolean;
}

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
  readonly #bucketKeys: string[];
  readonly #nodesKey: string;
  readonly #membersKey: string;
  readonly #epochKey: string;
  readonly #blockedKey: string;
  readonly #generationKey: string;
  readonly #eventsKey: string;
  readonly #takeoversPrefix: string;
  readonly #takeoverLimit: string;
  readonly #channelPrefix: string;

  constructor(options: RedisStoreOptions) {
    const tag = hashTag(options.prefix);
    this.#link = new RedisLink({ ...options, scripts: Object.values(SCRIPTS) });
    this.#connect = options.connect;
    this.#commandTimeoutMs = options.commandTimeoutMs;
    this.#bucketKeys = Array.from({ length: BUCKETS }, (_, i) => `${tag}:sessions:${i}`);
    this.#nodesKey = `${tag}:nodes`;
    this.#membersKey = `${tag}:members`;
    this.#epochKey = `${tag}:epoch`;
    this.#blockedKey = `${tag}:blocked`;
    this.#generationKey = `${tag}:generation`;
    this.#eventsKey = `${tag}:events`;
    this.#takeoversPrefix = `${tag}:takeovers:`;
    this.#takeoverLimit = String(options.takeoverLimit);
    this.#channelPrefix = `${tag}:node:`;
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
    await this.#link.subscribe(this.#channelPrefix + node, (text) => {
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
        this.#generationKey,
        this.#bucketKey(clientId),
        this.#nodesKey,
        this.#membersKey,
        this.#epochKey,
        this.#eventsKey,
        this.#blockedKey,
        this.#takeoversPrefix + clientId,
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
        this.#channelPrefix,
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
      [this.#generationKey, this.#bucketKey(clientId), this.#nodesKey, this.#eventsKey],
      [clientId, sessionId, this.#channelPrefix, mode],
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
    type Held = [string, string, string, string, string, string, string | number, string[], string[]];
    const reply = await this.#link.run<[status: string, leaseMs: string] | Held>(
      SCRIPTS.renew,
      [this.#generationKey, this.#nodesKey, this.#membersKey, this.#eventsKey],
      [
        node,
        String(leaseMs),
        String(connection),
        mode,
        generation,
        joins,
        String(Math.floor(epochUs)),
        formerNode,
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
    const [, heldGeneration, redisMs, heldEpochUs, settled, ready, heldJoins, heldNodes, deadNodes] =
      reply as Held;
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
    };
  }

  /** Forgets a node that leaves in order, or `""`, and those of others that are still dead. */
  async forget(node: string, dead: string[] = []): Promise<void> {
    const keys = [this.#generationKey, this.#nodesKey, this.#membersKey];
    await this.#link.run(SCRIPTS.forget, keys, [node, ...dead]);
  }

  /** The nodes that hold a lease now. */
  async liveNodes(): Promise<Set<string>> {
    return new Set(await this.#link.run<string[]>(SCRIPTS.nodes, [this.#generationKey, this.#nodesKey], []));
  }

  /** Runs a script that stands behind lua/operation.lua. */
  operate<T extends Reply>(script: string, clientId: string, args: string[]): Promise<T> {
    const keys = [this.#generationKey, this.#bucketKey(clientId), this.#nodesKey, this.#membersKey];
    return this.#link.run<T>(script, [...keys, this.#epochKey, this.#blockedKey], [
      clientId,
      this.#channelPrefix,
      ...args,
    ]);
  }

  /** Which clients are blocked, and for how long yet, ms. @param known Those that should be; see lua/blocked.lua. */
  async blocked(known: Iterable<[clientId: string, ms: number]>): Promise<[clientId: string, ms: number][]> {
    const args = [...known].flatMap(([clientId, ms]) => [clientId, String(Math.ceil(ms))]);
    const flat = await this.#link.run<string[]>(
      SCRIPTS.blocked,
      [this.#generationKey, this.#blockedKey],
      args,
    );
    const pairs: [string, number][] = [];
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i]!, Number(flat[i + 1])]);
    return pairs;
  }

  /** Sends a message to a node. */
  async tell(node: string, message: string): Promise<void> {
    await this.#link.publish(this.#channelPrefix + node, message);
  }

  /** All lines, bucket by bucket: pages of holders, the oldest of a client first. The next page is read ahead. */
  async *lines(): AsyncGenerator<Holder[][]> {
    let next = this.#bucket(this.#bucketKeys[0]!);
    for (let i = 0; i < BUCKETS; i++) {
      const bucket = await next;
      if (i + 1 < BUCKETS) {
        next = this.#bucket(this.#bucketKeys[i + 1]!);
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
      ...["XRANGE", this.#eventsKey, from, to, "COUNT", String(count)],
    );
    return entries.map(([id, fields]) => [id, fields[1] ?? ""]);
  }

  /** Where a reader of the events connects, and the key that it reads. */
  get eventSource(): { connect: Connect; key: string; timeoutMs: number } {
    return { connect: this.#connect, key: this.#eventsKey, timeoutMs: this.#commandTimeoutMs };
  }

  #bucket(key: string): Promise<string[]> {
    return this.#link.send<string[]>("HGETALL", key);
  }

  #bucketKey(clientId: string): string {
    let hash = 0x811c9dc5; // FNV-1a over UTF-16 units
    for (let i = 0; i < clientId.length; i++) hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193);
    return this.#bucketKeys[(hash >>> 0) % BUCKETS]!;
  }
}

/**
 * What stands before every key and channel of a service, so that a cluster puts them in one slot. Empty braces are no tag,
 * and of several pairs only the first is looked at.
 *
 * @throws {RangeError} when the prefix cannot stand in braces.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(hashTag("solo"), "{solo}");
 * assert.throws(() => hashTag("{solo}"), /one or more characters, without { and }/);
 * assert.throws(() => hashTag(""), RangeError);
 * ```
 */
export function hashTag(prefix: string): string {
  if (prefix === "" || /[{}]/.test(prefix)) {
    throw new RangeError(
      `Cannot use ${JSON.stringify(prefix)} as a prefix: give one or more characters, without { and }`,
    );
  }
  return `{${prefix}}`;
}

/**
 * The holders in the line of a client, the oldest first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const [old, fresh] = parseLine("kim", "s1 n1 7 1000 e|s2 n2 8 2000 w");
 * assert.deepEqual(old, { clientId: "kim", sessionId: "s1", node: "n1", epoch: 7, connectedAtMs: 1000, established: true });
 * assert.equal(fresh?.established, false);
 * ```
 */
export function parseLine(clientId: string, line: string): Holder[] {
  return line.split("|").map((holder) => {
    const [sessionId = "", node = "", epoch, connectedAt, state] = holder.split(" ");
    return {
      clientId,
      sessionId,
      node,
      epoch: Number(epoch),
      connectedAtMs: Number(connectedAt),
      established: state === "e",
    };
  });
}
