/** Under which keys Redis has what the processes of a service share. */

/** Into how many hashes the sessions are spread: one of a million sessions has some 4,000 in each. */
const BUCKETS = 256;

/**
 * The keys of one service.
 *
 * With the prefix `solo`: `{solo}:sessions:0` … `{solo}:sessions:255`, hashes `client_id -> line` (see lua/shared.lua), a
 * client in the bucket of its hash, so that a listing reads small pieces, each of one moment; `{solo}:nodes`, a sorted
 * set `node -> end of lease`; `{solo}:members`, a hash of what else is known of each node (see lua/renew.lua);
 * `{solo}:epoch`; `{solo}:blocked`, a sorted set `client_id -> end of its block` (see lua/operation.lua); `{solo}:generation`
 * (see lua/generation.lua); `{solo}:events`, a stream (see lua/shared.lua); `{solo}:takeovers:<client_id>` for those that were
 * taken over of late (see lua/takeovers.lua); a channel `{solo}:node:<node>` each. The braces are a hash tag: in a Redis Cluster
 * all keys with the same one are in one slot, and so on one node, where a script may use them together. Versions before the
 * hash tag had the same keys without the braces; of those `solo:nodes` is looked at, see predecessors.ts.
 */
export class Keys {
  /** Of the sessions. */
  readonly buckets: readonly string[];
  readonly nodes: string;
  /** Of the nodes of versions whose keys had no hash tag. */
  readonly predecessors: string;
  readonly members: string;
  readonly epoch: string;
  readonly blocked: string;
  readonly generation: string;
  readonly events: string;
  /** Stands before the name of a node. */
  readonly channelPrefix: string;
  readonly #takeoversPrefix: string;

  /** @param prefix Not empty, and without braces. */
  constructor(prefix: string) {
    const tag = hashTag(prefix);
    this.buckets = Array.from({ length: BUCKETS }, (_, i) => `${tag}:sessions:${i}`);
    this.nodes = `${tag}:nodes`;
    this.predecessors = `${prefix}:nodes`;
    this.members = `${tag}:members`;
    this.epoch = `${tag}:epoch`;
    this.blocked = `${tag}:blocked`;
    this.generation = `${tag}:generation`;
    this.events = `${tag}:events`;
    this.channelPrefix = `${tag}:node:`;
    this.#takeoversPrefix = `${tag}:takeovers:`;
  }

  /** Of the sessions among which those of a client are. */
  bucketOf(clientId: string): string {
    let hash = 0x811c9dc5; // FNV-1a over UTF-16 units
    for (let i = 0; i < clientId.length; i++) hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193);
    return this.buckets[(hash >>> 0) % BUCKETS]!;
  }

  /** Of the takeovers of a client. */
  takeoversOf(clientId: string): string {
    return this.#takeoversPrefix + clientId;
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
