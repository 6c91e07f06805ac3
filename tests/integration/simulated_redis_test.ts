/** What the simulation takes for Redis: it answers as a real one does. */

import assert from "node:assert/strict";
import { redisAt, type RedisConnection } from "../../lib/sessions/redis_connection.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { Random } from "../chaos/random.ts";
import { Lua, type LuaReply } from "../simulation/lua.ts";
import { RedisData } from "../simulation/redis_data.ts";
import { Redis } from "../support/redis.ts";

const lua = await Lua.create();

/** As lua/operation.lua has them. */
const OPERATION_KEYS = ["generation", "sessions", "nodes", "members", "epoch", "blocked"];

/** A real Redis and a simulated one that are asked the same. */
class Pair implements AsyncDisposable {
  readonly data = new RedisData();

  private constructor(readonly redis: Redis, readonly connection: RedisConnection) {}

  static async start(): Promise<Pair> {
    const redis = await Redis.start({ fresh: true });
    const connection = redisAt(redis.url, "{solo}")(() => {});
    await connection.ready;
    return new Pair(redis, connection);
  }

  /** Runs a script in both. @returns what they answer. */
  async eval(script: string, keys: string[], args: string[]): Promise<[real: unknown, simulated: LuaReply]> {
    const real = await this.connection.send("EVAL", script, String(keys.length), ...keys, ...args);
    const call = (command: string[]) => command[0] === "PUBLISH" ? 0 : this.data.run(command, 0);
    return [real, lua.run(script, keys, args, call)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.destroy();
    await this.redis[Symbol.asyncDispose]();
  }
}

/** A command with arguments that meet one another often. */
function command(random: Random): string[] {
  const field = () => random.of(["a", "b", "c", "ü"]);
  const score = () => String(random.integer(-3, 3) * 500_000_000_000);
  const bound = () => random.of(["-inf", "+inf", `(${score()}`, score()]);
  return random.of([
    () => ["GET", "text"],
    () => ["SET", "text", random.of(["", "1", "1700000000000000"])],
    () => ["SET", "text", "ends", "PX", "100000"],
    () => ["DEL", random.of(["text", "hash", "sorted"])],
    () => ["HGET", "hash", field()],
    () => ["HSET", "hash", field(), random.of(["", "x y|z", "7"])],
    () => ["HSETNX", "hash", field(), "first"],
    () => ["HDEL", "hash", field()],
    () => ["HMGET", "hash", field(), field()],
    () => ["HLEN", "hash"],
    () => ["HINCRBY", "counts", field(), String(random.integer(1, 3))],
    () => ["ZADD", "sorted", score(), field()],
    () => ["ZADD", "sorted", "XX", score(), field()],
    () => ["ZSCORE", "sorted", field()],
    () => ["ZCARD", "sorted"],
    () => ["ZREM", "sorted", field()],
    () => ["ZCOUNT", "sorted", bound(), bound()],
    () => ["ZRANGEBYSCORE", "sorted", bound(), bound()],
  ])();
}

Deno.test("SimulatedRedis: it answers every command as Redis does", async () => {
  await using pair = await Pair.start();
  const random = new Random("commands");
  for (let i = 0; i < 3000; i++) {
    const asked = command(random);
    // inside a script, with the conversions there and back; a nil comes out as a false
    const [real, simulated] = await pair.eval("return redis.call(unpack(ARGV))", [], asked);
    const status = real === "OK" ? "OK" : simulated;
    assert.deepEqual(real, status, asked.join(" "));
  }
});

Deno.test("SimulatedRedis: Lua is the same one there", async () => {
  await using pair = await Pair.start();
  for (
    const script of [
      `return _VERSION`,
      `return { tostring(1700000000123), tostring(1e15), 1700000000123 .. "", 2^53 .. "" }`,
      `return { string.format("%.0f", 1700000000123456), math.floor(-0.5), tonumber("0x10") or -1, 7 % 3 }`,
      `return { tostring("5" * 1000), "10" < "9", tonumber("") or "none" }`,
      `local t = {} for w in string.gmatch("a b|c d", "([^%s|]+) (%a)") do t[#t + 1] = w end return t`,
      `return { 1.9, -1.9, true, false, "x", 5 }`,
      `return { string.match("12 34 56", "^(%d+) (%d+)") }`,
    ]
  ) {
    const [real, simulated] = await pair.eval(script, [], []);
    assert.deepEqual(simulated, real, script);
  }
});

Deno.test("SimulatedRedis: the scripts say and leave the same in both", async () => {
  await using pair = await Pair.start();
  const random = new Random("scripts");
  let timeMs = 1_700_000_000_000;
  let run = "a".repeat(40);
  const key = (name: string) => `{solo}:${name}`;
  const generations: string[] = [""];
  for (let i = 0; i < 1500; i++) {
    timeMs += random.of([1, 5, 200, 3000, -1000]);
    if (random.next() < 0.01) run = random.of(["a", "b"]).repeat(40);
    const node = random.of(["n1", "n2", "n3"]);
    const client = random.of(["kim", "lee"]), session = random.of(["s1", "s2", "s3", "s4"]);
    const generation = random.next() < 0.1 ? random.of(generations) : generations.at(-1)!;
    const [name, keys, args] = random.of<() => [keyof typeof SCRIPTS, string[], string[]]>([
      () => [
        "renew",
        ["generation", "nodes", "members", "events"],
        [
          ...[node, "2000", random.of(["1", "2"]), random.of(["join", "joining", "renew"])],
          ...[generation, random.of(["0", "3"]), String(timeMs * 1000), random.of(["", "n0"]), "n1", "n2"],
        ],
      ],
      () => [
        "claim",
        ["generation", "sessions", "nodes", "members", "epoch", "events", "blocked", "takeovers"],
        [
          ...[
            client,
            session,
            node,
            String(timeMs),
            random.of(["", "1700000000000000"]),
            random.of(["e", "w"]),
          ],
          ...[random.of(["1", "2"]), generation, String(timeMs + random.of([0, 500, -1]))],
          ...[random.of(["", "250"]), "{solo}:node:", random.of(["yes", "no"]), random.of(["0", "2"])],
        ],
      ],
      () => [
        "release",
        ["generation", "sessions", "nodes", "events"],
        [client, session, "{solo}:node:", random.of(["held", "ended", "dead"])],
      ],
      () => {
        const until = String(timeMs + random.of([0, 500, -1]));
        const common = [client, "{solo}:node:", node, random.of(["1", "2"]), generation, until];
        const conditions = random.of(["", "*", session, `${session} s4`]);
        return random.of<[keyof typeof SCRIPTS, string[], string[]]>([
          ["find", OPERATION_KEYS, [...common, conditions]],
          ["send", OPERATION_KEYS, [...common, conditions, "1", "two words"]],
          ["end", OPERATION_KEYS, [...common, conditions, "", "", random.of(["", "1000"]), "1"]],
          ["end", OPERATION_KEYS, [...common, "", "1700000000000000", random.of(["", session]), "", ""]],
        ]);
      },
      () => ["blocked", ["generation", "blocked"], random.of([[], ["kim", "500"]])],
      () => ["nodes", ["generation", "nodes"], []],
      () => ["forget", ["generation", "nodes", "members"], [random.of(["", "n1"]), "n2"]],
    ])();
    // both have the same time and the same ids, and the ids of events are their own affair
    const script = SCRIPTS[name]
      .replace(`redis.call("TIME")`, `{ "${Math.floor(timeMs / 1000)}", "${timeMs % 1000 * 1000}" }`)
      .replace(`redis.call("INFO", "server")`, `"run_id:${run}"`)
      .replace(`redis.call("INFO", "replication")`, `"master_replid:${run}"`);
    const [real, simulated] = await pair.eval(script, keys.map(key), args);
    assert.deepEqual(simulated, real, `${i}: ${name} ${args.join(" ")}`);
    if (name === "renew" && Array.isArray(real) && real[0] === "held") generations.push(real[1]);
    for (const hash of ["generation", "sessions", "members"]) {
      const flat = await pair.connection.send<string[]>("HGETALL", key(hash));
      const entries = Array.from({ length: flat.length / 2 }, (_, f) => [flat[2 * f]!, flat[2 * f + 1]!]);
      assert.deepEqual(
        Object.fromEntries(pair.data.hash(key(hash))),
        Object.fromEntries(entries),
        `${i}: ${name}`,
      );
    }
    const takeovers = await pair.connection.send<string>("GET", key("takeovers"));
    assert.equal(pair.data.run(["GET", key("takeovers")], 0), takeovers, `${i}: ${name}`);
  }
});
