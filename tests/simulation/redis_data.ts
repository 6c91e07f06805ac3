import type { LuaReply } from "./lua.ts";

type Value = string | Map<string, string> | Map<string, number> | Stream;

/** Of a stream only its end is kept: who reads events is not simulated. */
interface Stream {
  lastMs: number;
  lastNumber: number;
}

/**
 * What a simulated Redis keeps, and the commands that the scripts and the store use. That it answers as Redis does is a test
 * of its own (tests/integration/simulated_redis_test.ts).
 */
export class RedisData {
  #keys = new Map<string, Value>();
  /** When texts end that do, Unix ms. */
  readonly #endsAtMs = new Map<string, number>();

  /** A copy that goes its own way. */
  clone(): RedisData {
    const copy = new RedisData();
    for (const [key, atMs] of this.#endsAtMs) copy.#endsAtMs.set(key, atMs);
    for (const [key, value] of this.#keys) {
      copy.#keys.set(
        key,
        typeof value === "string"
          ? value
          : value instanceof Map
          ? new Map(value as Map<string, string>)
          : { ...value },
      );
    }
    return copy;
  }

  /** The hash under a key, as it stands. */
  hash(key: string): ReadonlyMap<string, string> {
    return this.#hash(key);
  }

  /** Keys that begin so. */
  keys(prefix: string): string[] {
    return [...this.#keys.keys()].filter((key) => key.startsWith(prefix));
  }

  /** @param timeMs Unix time of this Redis. */
  run(command: string[], timeMs: number): LuaReply {
    const [name, key = "", ...args] = command;
    switch (name) {
      case "TIME":
        return [String(Math.floor(timeMs / 1000)), String(Math.floor(timeMs % 1000 * 1000))];
      case "GET":
        if (timeMs >= (this.#endsAtMs.get(key) ?? Infinity)) this.#keys.delete(key);
        return this.#keys.get(key) as string ?? null;
      case "SET":
        this.#keys.set(key, args[0]!);
        this.#endsAtMs.delete(key);
        if (args[1] === "PX") this.#endsAtMs.set(key, timeMs + Number(args[2]));
        return "OK";
      case "DEL":
        return [key, ...args].filter((each) => this.#keys.delete(each)).length;
      case "FLUSHALL":
        this.#keys.clear();
        return "OK";
      case "HGET":
        return this.#hash(key).get(args[0]!) ?? null;
      case "HMGET": {
        const hash = this.#hash(key);
        if (args.length === 0) throw new Error("ERR Wrong number of args calling Redis command from script");
        return args.map((field) => hash.get(field) ?? null);
      }
      case "HGETALL":
        return [...this.#hash(key)].flat();
      case "HLEN":
        return this.#hash(key).size;
      case "HSET": {
        const hash = this.#hash(key);
        const added = hash.has(args[0]!) ? 0 : 1;
        hash.set(args[0]!, args[1]!);
        this.#keys.set(key, hash);
        return added;
      }
      case "HSETNX":
        return this.#hash(key).has(args[0]!) ? 0 : this.run(["HSET", key, ...args], timeMs);
      case "HINCRBY": {
        const sum = Number(this.#hash(key).get(args[0]!) ?? 0) + Number(args[1]);
        this.run(["HSET", key, args[0]!, String(sum)], timeMs);
        return sum;
      }
      case "HDEL":
        return this.#remove(key, this.#hash(key), args);
      case "ZADD":
        return this.#zadd(key, args);
      case "ZSCORE": {
        const score = this.#sorted(key).get(args[0]!);
        return score === undefined ? null : String(score);
      }
      case "ZCARD":
        return this.#sorted(key).size;
      case "ZREM":
        return this.#remove(key, this.#sorted(key), args);
      case "ZCOUNT":
        return this.#range(key, args[0]!, args[1]!).length;
      case "ZRANGEBYSCORE":
        return this.#range(key, args[0]!, args[1]!);
      case "XADD":
        return this.#xadd(key, timeMs);
      default:
        throw new Error(`the simulated Redis does not know ${command.join(" ")}`);
    }
  }

  #hash(key: string): Map<string, string> {
    return this.#keys.get(key) as Map<string, string> ?? new Map();
  }

  #sorted(key: string): Map<string, number> {
    return this.#keys.get(key) as Map<string, number> ?? new Map();
  }

  #remove<V>(key: string, map: Map<string, V>, members: string[]): number {
    const removed = members.filter((member) => map.delete(member)).length;
    if (map.size === 0) this.#keys.delete(key);
    return removed;
  }

  #zadd(key: string, args: string[]): number {
    const existing = args[0] === "XX";
    const [score, member] = existing ? args.slice(1) : args;
    const sorted = this.#sorted(key);
    const known = sorted.has(member!);
    if (existing && !known) return 0;
    sorted.set(member!, Number(score));
    this.#keys.set(key, sorted);
    return known ? 0 : 1;
  }

  #range(key: string, min: string, max: string): string[] {
    const above = bound(min), below = bound(max);
    return [...this.#sorted(key)]
      .filter(([, score]) =>
        (above.open ? score > above.at : score >= above.at) &&
        (below.open ? score < below.at : score <= below.at)
      )
      .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
      .map(([member]) => member);
  }

  #xadd(key: string, timeMs: number): string {
    const last = this.#keys.get(key) as Stream ?? { lastMs: 0, lastNumber: 0 };
    const ms = Math.max(last.lastMs, Math.floor(timeMs));
    const number = ms === last.lastMs ? last.lastNumber + 1 : 0;
    this.#keys.set(key, { lastMs: ms, lastNumber: number });
    return `${ms}-${number}`;
  }
}

function bound(text: string): { at: number; open: boolean } {
  const open = text.startsWith("(");
  const number = open ? text.slice(1) : text;
  return { at: number === "+inf" ? Infinity : number === "-inf" ? -Infinity : Number(number), open };
}
