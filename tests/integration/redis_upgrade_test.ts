/** The upgrade of docs/operations.md from a version whose keys have no hash tag. */

import assert from "node:assert/strict";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import { listed, TestCandidate } from "../support/candidate.ts";
import { LASTING_LEASE_S, untilReady } from "../support/cluster.ts";
import { joined } from "../support/joined.ts";
import { startServer } from "../support/program.ts";
import { Redis } from "../support/redis.ts";
import { ENDING_LEASE_MS, LASTING_LEASE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const PAGE = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));

/** What a process of that version keeps in Redis: the same, under other names. It has a lease that it renews, and a session of kim. */
class OldProcess implements AsyncDisposable {
  #renewals: Promise<void>;
  #over = false;

  private constructor(readonly redis: Redis, readonly node: string, readonly leaseMs: number) {
    this.#renewals = this.#goOn();
  }

  static async start(redis: Redis, node: string, leaseMs = LASTING_LEASE_MS): Promise<OldProcess> {
    const old = new OldProcess(redis, node, leaseMs);
    await until(
      async () => await redis.command("ZSCORE", "solo:nodes", node) !== "",
      "the old process has a lease",
    );
    const line = "986de040-0000-4000-8000-000000000000 old 7 1000 e";
    await redis.command("HSET", "solo:sessions:7", "kim", line);
    return old;
  }

  async #goOn(): Promise<void> {
    const keys = ["generation", "nodes", "members", "events"].map((name) => `solo:${name}`);
    for (let mode = "join"; !this.#over; mode = "renew") {
      const words = [this.node, String(this.leaseMs), "1", mode, "", "0", "0", "", ""];
      await this.redis.command("EVAL", SCRIPTS.renew, "4", ...keys, ...words);
      await new Promise((resolve) => setTimeout(resolve, this.leaseMs / 20));
    }
  }

  /** Dies: its lease stays. */
  async die(): Promise<void> {
    this.#over = true;
    await this.#renewals;
  }

  /** Leaves in order. */
  async leave(): Promise<void> {
    await this.die();
    await this.redis.command("ZREM", "solo:nodes", this.node);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
  }
}

Deno.test("RedisRegistry: beside processes without a hash tag none takes a session, until the last has left", async () => {
  await using redis = await Redis.start();
  await using first = await OldProcess.start(redis, "first", ENDING_LEASE_MS);
  await using second = await OldProcess.start(redis, "second", ENDING_LEASE_MS);
  await using service = await joined({ url: redis.url, leaseMs: ENDING_LEASE_MS });
  assert.equal(service.registry.state, "preceded");
  const early = new TestCandidate("kim");
  service.registry.claim(early);
  assert.equal(early.reason?.kind, "lease-lost", "it is turned away");
  await first.leave();
  await redis.passes(2 * ENDING_LEASE_MS);
  assert.equal(service.registry.state, "preceded", "one is still there");
  await second.leave();
  await until(() => service.registry.state === "ready", "it takes sessions");
  const kim = new TestCandidate("kim");
  service.registry.claim(kim);
  await kim.reaches("established");
});

Deno.test("RedisRegistry: the lease of a process without a hash tag that has died is over when nobody has renewed it", async () => {
  await using redis = await Redis.start();
  await using old = await OldProcess.start(redis, "old", ENDING_LEASE_MS);
  await using service = await joined({ url: redis.url, leaseMs: ENDING_LEASE_MS });
  assert.equal(service.registry.state, "preceded");
  await old.die();
  await until(() => service.registry.state === "ready", "it takes sessions");
});

Deno.test("RedisRegistry: after a loss of all data it waits for processes without a hash tag that are still to come back", async () => {
  const leaseMs = ENDING_LEASE_MS; // there must be time to come back in
  await using redis = await Redis.start();
  await using old = await OldProcess.start(redis, "old", leaseMs);
  await using service = await joined({ url: redis.url, leaseMs });
  await old.die(); // it is out of touch with Redis, and has its sessions until its lease is over
  await redis.command("FLUSHALL");
  const settlesAt = async () => Number(await redis.command("HGET", "{solo}:generation", "settles_at"));
  await until(async () => await settlesAt() > 0, "the loss is noticed");
  await redis.passes(leaseMs / 4);
  await using again = await OldProcess.start(redis, "old", leaseMs);
  await redis.passes(leaseMs);
  assert.equal(service.registry.state, "preceded");
  await again.leave();
  await until(() => service.registry.state === "ready", "it takes sessions");
});

Deno.test("ws-server: beside a process of an older version it says why it takes no clients", async () => {
  await using redis = await Redis.start();
  await using old = await OldProcess.start(redis, "old");
  const flags = ["--redis", redis.url, "--lease", String(LASTING_LEASE_S)];
  await using server = await startServer("ws-server", flags);
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  assert.deepEqual(await ask("/readyz"), {
    status: 503,
    text: "processes of an older version are running: this one takes no clients until they have stopped\n",
  });
  assert.equal((await ask("/healthz")).status, 200);
  await assert.rejects(WsClient.establish(server.port, "kim"));
  assert.match((await ask("/metrics")).text, /^solo_connections_refused_total\{reason="preceded"\} 1$/m);
  await old.leave();
  await untilReady(server.port);
  await using _kim = await WsClient.establish(server.port, "kim");
  await server.program.line(/processes of an older version are running \(1\)/);
  await server.program.line(/the processes of an older version have stopped/);
});

Deno.test("docs/operations.md: what a version without a hash tag has left can be removed", async () => {
  await using redis = await Redis.start();
  await using old = await OldProcess.start(redis, "old");
  await old.leave();
  await using service = await joined({ url: redis.url });
  const kim = new TestCandidate("kim");
  service.registry.claim(kim);
  await kim.reaches("established");
  const entries = await listed(service.registry);
  assert.deepEqual(
    entries.map(({ sessionId }) => sessionId),
    [kim.sessionId],
    "the old one's session is not listed",
  );

  const [, command] = PAGE.match(/^(redis-cli --scan .*? DEL) /m)!;
  const here = command!.replaceAll("redis-cli", `redis-cli -p ${redis.port}`);
  const { success } = await new Deno.Command("sh", { args: ["-c", here], stdout: "null" }).output();
  assert.ok(success, here);
  assert.equal(await redis.command("KEYS", "solo:*"), "", "nothing of the old ones is left");
  assert.deepEqual(await listed(service.registry), entries);
  assert.deepEqual(kim.events, ["established"]);
});
