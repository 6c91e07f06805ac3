/**
 * What the cluster keeps in Redis, and the only place that knows how: keys, scripts, the text of a line.
 *
 * With the prefix `solo`: `solo:sessions:0` … `solo:sessions:255`, hashes `client_id -> line` (see lua/line.lua), a
 * client in the bucket of its hash, so that a listing reads small pieces, each of one moment; `solo:nodes`, a sorted
 * set `node -> end of lease`; `solo:epoch`; `solo:generation` (see lua/renew.lua); `solo:events`, a stream (see
 * lua/line.lua); a channel `solo:node:<node>` each.
 */

import { defineScript, RESP_TYPES } from "@redis/client";
import { messageOf } from "../../../service/errors.ts";
import { SharedDeadline } from "../../../service/shared_deadline.ts";
import { redisClient } from "../../redis_client.ts";
import type { SessionEntry } from "../../session_entry.ts";
import { RegistryUnreachableError } from "../registry.ts";
import claimLua from "./lua/claim.lua" with { type: "text" };
import lineLua from "./lua/line.lua" with { type: "text" };
import releaseLua from "./lua/release.lua" with { type: "text" };
import renewLua from "./lua/renew.lua" with { type: "text" };

/** Into how many hashes the sessions are spread: one of a million sessions has some 4,000 in each. */
const BUCKETS = 256;

/** What a claim is answered. */
export interface ClaimReply {
  answer: "established" | "wait" | "replaced" | "lapsed" | "late";
  epoch: string;
  /** The newest session of the client, and its node. */
  newestSessionId: string;
  newestNode: string;
}

/** What a renewal is answered; `lapsed` where the others may treat the node as gone. */
export type RenewReply =
  | { lapsed: true }
  | {
    lapsed: false;
    generation: string;
    /** Whether a client without a line is known to be free. */
    settled: boolean;
    redisNowMs: number;
    /** Those that may have sessions: they have a lease, or are still to announce what they have. */
    nodes: string[];
    deadNodes: string[];
  };

/** What the caller of `release` knows of the session; see lua/release.lua. */
export type ReleaseMode = "held" | "ended" | "dead";

/** One place in a line. */
export interface Holder extends SessionEntry {
  /** Whether it may be talking to its client. */
  established: boolean;
}

/** A message on the channel of a node. */
export type NodeMessage =
  | { kind: "evict"; sessionId: string; bySessionId: string; byNode: string; clientId: string }
  | { kind: "turn"; sessionId: string };

/** The id of an event and its text. */
type RawEvent = [id: string, text: string];

/** How a store reaches its Redis, and whom it tells. */
export interface RedisStoreOptions {
  /** `redis://` or `rediss://`, with user, password and database where needed. */
  url: string;
  /** Stands before every key and channel. */
  prefix: string;
  /** How long one command may take. */
  commandTimeoutMs: number;
  /** A connection was made, for the first time or again; messages may have been missed. */
  onConnected(): void;
  /** The connection is lost; a new one is being made. */
  onLost(error: Error): void;
  /** How long each answered command took. */
  onRoundTrip?(ms: number): void;
}

const ANSWERS: Record<string, ClaimReply["answer"]> = {
  e: "established",
  w: "wait",
  r: "replaced",
  l: "lapsed",
  t: "late",
};

function script(lua: string, keys: number) {
  return defineScript({
    SCRIPT: lua,
    NUMBER_OF_KEYS: keys,
    parseCommand(parser, keys: string[], args: string[]) {
      for (const key of keys) parser.pushKey(key);
      parser.push(...args);
    },
    transformReply: undefined as unknown as () => unknown,
  });
}

const SCRIPTS = {
  claim: script(lineLua + claimLua, 5),
  release: script(lineLua + releaseLua, 4),
  renew: script(lineLua + renewLua, 3),
};

type Client = ReturnType<typeof redisClient<typeof SCRIPTS>>;

/** One connection to Redis that mends itself, and one method for each atomic operation. */
export class RedisStore {
  readonly #options: RedisStoreOptions;
  readonly #bucketKeys: string[];
  readonly #nodesKey: string;
  readonly #epochKey: string;
  readonly #generationKey: string;
  readonly #eventsKey: string;
  readonly #channelPrefix: string;
  /** Our own around every command: the library's covers only those not yet sent. */
  readonly #deadline: SharedDeadline;
  #client: Client | undefined;
  #connecting: Promise<void> | undefined;
  #lastError: Error | undefined;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    const { prefix } = options;
    this.#bucketKeys = Array.from({ length: BUCKETS }, (_, i) => `${prefix}:sessions:${i}`);
    this.#nodesKey = `${prefix}:nodes`;
    this.#epochKey = `${prefix}:epoch`;
    this.#generationKey = `${prefix}:generation`;
    this.#eventsKey = `${prefix}:events`;
    this.#channelPrefix = `${prefix}:node:`;
    this.#deadline = new SharedDeadline(options.commandTimeoutMs, "Redis did not answer");
  }

  /** Whether commands can be sent. */
  get connected(): boolean {
    return this.#client?.isReady ?? false;
  }

  /** Why there is no connection, as far as is known. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /**
   * Starts to connect, dropping the connection there may be. Returns at once; goes on trying until closed.
   * Also the way out of a connection that is open and dead.
   */
  reconnect(): void {
    this.#client?.destroy();
    const client: Client = redisClient(this.#options.url, (error) => {
      if (client !== this.#client) return;
      this.#lastError = error;
      this.#options.onLost(error);
    }, { mends: true, scripts: SCRIPTS });
    client.on("ready", () => {
      if (client === this.#client) this.#options.onConnected();
    });
    this.#client = client;
    this.#connecting = client.connect().then(() => {}, () => {}); // told by the listener above
  }

  /** Ends the connection, and the wait before the next attempt where there is none. */
  async close(): Promise<void> {
    this.#deadline[Symbol.dispose]();
    this.#client?.destroy();
    this.#client = undefined;
    await this.#connecting;
  }

  /** Hears what is sent to a node. Lasts over reconnections, until `unsubscribe` or `reconnect`. */
  async subscribe(node: string, listener: (message: NodeMessage) => void): Promise<void> {
    await this.#run((client) =>
      client.subscribe(this.#channelPrefix + node, (text) => {
        const message = parseMessage(text);
        if (message) listener(message);
      })
    );
  }

  async unsubscribe(node: string): Promise<void> {
    await this.#run((client) => client.unsubscribe(this.#channelPrefix + node));
  }

  /** Takes or asks about a place in the line of a client; see lua/claim.lua. */
  async claim(place: {
    clientId: string;
    sessionId: string;
    node: string;
    connectedAtMs: number;
    /** `""` for a new place. */
    epoch: string;
    established: boolean;
    /** Latest moment of Redis's clock. */
    validUntilMs: number;
  }): Promise<ClaimReply> {
    const { clientId, sessionId, node, connectedAtMs, epoch, established, validUntilMs } = place;
    const [answer, at, newestSessionId, newestNode] = await this.#run((client) =>
      client.claim(
        [this.#bucketKey(clientId), this.#nodesKey, this.#epochKey, this.#generationKey, this.#eventsKey],
        [
          clientId,
          sessionId,
          node,
          String(connectedAtMs),
          epoch,
          established ? "e" : "w",
          String(Math.ceil(validUntilMs)),
          this.#channelPrefix,
        ],
      )
    ) as [string, string, string, string];
    return { answer: ANSWERS[answer]!, epoch: at, newestSessionId, newestNode };
  }

  /** Takes a session out of the line of its client; returns whether it was there. See lua/release.lua. */
  async release(clientId: string, sessionId: string, mode: ReleaseMode): Promise<boolean> {
    const removed = await this.#run((client) =>
      client.release(
        [this.#bucketKey(clientId), this.#generationKey, this.#nodesKey, this.#eventsKey],
        [clientId, sessionId, this.#channelPrefix, mode],
      )
    );
    return removed === 1;
  }

  /** Renews the lease of a node; see lua/renew.lua. */
  async renew(lease: {
    node: string;
    leaseMs: number;
    /** The generation in which all sessions were announced; `""` for a process that has just started. */
    knownGeneration: string;
    mode: "join" | "renew";
    graceMs: number;
    /** A node that this process was; `""` for none. */
    formerNode: string;
    /** The nodes that may have sessions, by the last renewal in `knownGeneration`. */
    knownNodes: string[];
  }): Promise<RenewReply> {
    const { node, leaseMs, knownGeneration, mode, graceMs, formerNode, knownNodes } = lease;
    const [status, generation, now, settled, nodes, deadNodes] = await this.#run((client) =>
      client.renew(
        [this.#nodesKey, this.#generationKey, this.#eventsKey],
        [node, String(leaseMs), knownGeneration, mode, String(graceMs), formerNode, ...knownNodes],
      )
    ) as [string, string, string, string, string[], string[]];
    if (status === "lapsed") return { lapsed: true };
    return {
      lapsed: false,
      generation,
      settled: settled === "settled",
      redisNowMs: Number(now),
      nodes,
      deadNodes,
    };
  }

  /** Forgets a node that leaves in order. */
  async forget(node: string): Promise<void> {
    await this.#run((client) => client.zRem(this.#nodesKey, node));
  }

  /** Forgets the nodes whose lease had ended by `redisMs`, a moment of Redis's clock. */
  async forgetDead(redisMs: number): Promise<void> {
    await this.#run((client) => client.zRemRangeByScore(this.#nodesKey, "-inf", Math.floor(redisMs)));
  }

  /** The nodes that hold a lease now. */
  async liveNodes(): Promise<Set<string>> {
    const [time, nodes] = await this.#run((client) =>
      Promise.all([
        client.sendCommand<[string, string]>(["TIME"]),
        client.zRangeWithScores(this.#nodesKey, 0, -1),
      ])
    );
    const nowMs = Number(time[0]) * 1000 + Number(time[1]) / 1000;
    return new Set(nodes.filter(({ score }) => score > nowMs).map(({ value }) => value));
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
    const entries = await this.#run((client) =>
      client.sendCommand<[id: string, fields: string[]][]>([
        ...["XRANGE", this.#eventsKey, from, to],
        ...["COUNT", String(count)],
      ])
    );
    return entries.map(([id, fields]) => [id, fields[1] ?? ""]);
  }

  /** Where a reader of the events connects, and the key that it reads. */
  get eventSource(): { url: string; key: string; timeoutMs: number } {
    return { url: this.#options.url, key: this.#eventsKey, timeoutMs: this.#options.commandTimeoutMs };
  }

  #bucket(key: string): Promise<string[]> {
    // a flat array: an object would put clients named like numbers first
    return this.#run((client) =>
      client.sendCommand<string[]>(["HGETALL", key], { typeMapping: { [RESP_TYPES.MAP]: Array } })
    );
  }

  #bucketKey(clientId: string): string {
    let hash = 0x811c9dc5; // FNV-1a over UTF-16 units
    for (let i = 0; i < clientId.length; i++) hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193);
    return this.#bucketKeys[(hash >>> 0) % BUCKETS]!;
  }

  /** Sends a command where there is a connection, and gives its failure the name that callers know. */
  async #run<T>(command: (client: Client) => Promise<T>): Promise<T> {
    const client = this.#client;
    if (!client?.isReady) {
      throw new RegistryUnreachableError("Redis is not connected", { cause: this.#lastError });
    }
    const sentAt = performance.now();
    try {
      const reply = await this.#deadline.limit(command(client));
      this.#options.onRoundTrip?.(performance.now() - sentAt);
      return reply;
    } catch (error) {
      throw new RegistryUnreachableError(messageOf(error), { cause: error });
    }
  }
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

/** A message as claim.lua and release.lua publish it; the client_id comes last because it may hold spaces. */
function parseMessage(text: string): NodeMessage | undefined {
  const [, kind, sessionId, bySessionId, byNode, clientId] =
    text.match(/^(\S+) (\S+)(?: (\S+) (\S+) ([^]+))?$/) ?? [];
  if (kind === "turn") return { kind, sessionId: sessionId! };
  if (kind === "evict" && clientId !== undefined) {
    return { kind, sessionId: sessionId!, bySessionId: bySessionId!, byNode: byNode!, clientId };
  }
  return undefined; // another version's message
}
