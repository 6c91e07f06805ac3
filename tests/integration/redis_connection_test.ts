/** One connection to Redis, from its making to its end. */

import assert from "node:assert/strict";
import { redisAt } from "../../lib/sessions/redis_connection.ts";
import { freePort } from "../support/ports.ts";
import { Redis } from "../support/redis.ts";
import { Sentinels } from "../support/sentinels.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { until } from "../support/wait.ts";

/** Who is connected, but for the one who asks. */
async function clients(redis: Redis): Promise<number> {
  return (await redis.command("CLIENT", "LIST")).split("\n").length - 1;
}

for (const what of ["answers", "stands still"]) {
  Deno.test(`redisAt: a connection that is given up while it is being made leaves nothing behind, where Redis ${what}`, async () => {
    await using redis = await Redis.start();
    if (what === "stands still") redis.freeze();
    for (let turns = 0; turns < 40; turns++) {
      const connection = redisAt(redis.url, "{solo}")(() => {});
      connection.ready.catch(() => {});
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      await connection.destroy();
    }
    redis.thaw();
    await until(async () => await clients(redis) === 0, "nobody is connected");
  });
}

Deno.test("redisAt: who waits for an answer when a connection is given up is told so", async () => {
  await using redis = await Redis.start();
  const connection = redisAt(redis.url, "{solo}")(() => {});
  await connection.ready;
  redis.freeze();
  const answer = assert.rejects(
    connection.send("PING"),
    /^Error: Redis did not answer before its connection was given up$/,
  );
  await connection.destroy();
  await answer;
  redis.thaw();
});

Deno.test("redisAt: a replica that is named is refused, and so is a Redis that becomes one", async () => {
  await using primary = await Redis.start();
  await using folder = await temporaryFolder(); // a replica writes what it is sent
  await using redis = await Redis.start({ args: ["--dir", folder.path] });
  const lost = Promise.withResolvers<Error>();
  const connection = redisAt(redis.url, "{solo}")(lost.resolve);
  await connection.ready;
  await redis.command("REPLICAOF", "127.0.0.1", String(primary.port));
  await assert.rejects(connection.send("SET", "{solo}:epoch", "1"), /READONLY/);
  assert.match((await lost.promise).message, /READONLY/);
  await connection.destroy();
  const next = redisAt(redis.url, "{solo}")(() => {});
  await assert.rejects(next.ready, /is a replica/);
  await next.destroy();
});

Deno.test("redisAt: says of each Sentinel why it does not know the primary", async () => {
  await using sentinels = await Sentinels.start();
  const nobody = freePort();
  const { port } = sentinels.sentinels[0]!;
  const connection = redisAt(`redis+sentinel://127.0.0.1:${nobody},127.0.0.1:${port}/another`, "{solo}")(
    () => {},
  );
  await assert.rejects(connection.ready, (error: Error) => {
    assert.match(error.message, /^nobody knows the primary: /);
    assert.match(error.message, new RegExp(`127.0.0.1:${nobody}: .*ECONNREFUSED`));
    assert.match(error.message, new RegExp(`127.0.0.1:${port}: .*No such master with that name`));
    return true;
  });
  await connection.destroy();
});
