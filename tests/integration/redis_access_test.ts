/** The user and the certificates of docs/redis-access.md, at a real Redis. */

import assert from "node:assert/strict";
import { inRedis } from "../../lib/sessions/coordination.ts";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { Follower } from "../support/follower.ts";
import { GhostNode } from "../support/ghosts.ts";
import { joined } from "../support/joined.ts";
import { runProgram, startServer } from "../support/program.ts";
import { freePort } from "../support/ports.ts";
import { Redis } from "../support/redis.ts";
import { blocks, clusterRights, PASSWORD, serviceUser } from "../support/redis_access_page.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { LASTING_LEASE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** A Redis with the user of the page; its default user stays, for the test to look. */
async function redisWithUser(folder: string): Promise<Redis> {
  const [acl] = blocks("acl");
  const observed = acl!.replace("user default off", "user default on nopass ~* &* +@all");
  assert.notEqual(observed, acl);
  await Deno.writeTextFile(`${folder}/users.acl`, observed);
  return await Redis.start({ args: ["--aclfile", `${folder}/users.acl`] });
}

/** What the user of the page may run. */
function commandsOfUser(): string[] {
  return [...blocks("acl")[0]!.matchAll(/ \+(\S+)/g)].map(([, command]) => command!);
}

/** What this Redis was asked to run, in scripts and by itself, and did. */
async function commandsRun(redis: Redis): Promise<Set<string>> {
  const stats = await redis.command("INFO", "commandstats");
  return new Set([...stats.matchAll(/^cmdstat_([^:]+):calls=[1-9]/gm)].map(([, command]) => command!));
}

async function refusals(redis: Redis): Promise<string> {
  return await redis.command("ACL", "LOG");
}

function urlOf(redis: Redis, user = "solo", password = PASSWORD): string {
  return `redis://${user}:${password}@127.0.0.1:${redis.port}`;
}

/** All that a service ever asks of its Redis. */
async function liveThrough(redis: Redis): Promise<void> {
  const url = urlOf(redis);
  await using here = await joined({ url });
  await using there = await joined({ url });
  await using follower = await Follower.start(here);
  const [first, second, third] = Array.from({ length: 3 }, () => new TestCandidate("kim"));
  here.registry.claim(first!);
  await first!.reaches("established");
  there.registry.claim(second!);
  await second!.reaches("established");
  there.registry.claim(third!);
  await third!.reaches("established");
  assert.deepEqual(await sessionIds(here.registry), [third!.sessionId]);
  const events = await follower.events(3);
  assert.equal((await here.events.between(events[0]!.id, events[2]!.id))?.length, 2);
  there.registry.release(third!);
  await until(async () => (await listed(here.registry)).length === 0, "the session is gone");

  assert.equal((await here.registry.find("lee"))?.clientId, undefined);
  const written = new TestCandidate("lee");
  here.registry.claim(written);
  await written.reaches("established");
  assert.equal((await there.registry.send("lee", "hello")).kind, "sent");
  assert.equal((await there.registry.end("lee", { blockMs: 1 })).kind, "ended");
  await until(() => here.registry.blockedMs("lee") === 0, "the block is over");

  // a process that has died, the loss of all data, and a lease that was lost
  {
    await using ghost = await GhostNode.start(redis, LASTING_LEASE_MS);
    await ghost.claim("dead");
    await ghost.expire();
    await until(async () => (await commandsRun(redis)).has("zrem"), "the dead are swept");
  }
  const kept = new TestCandidate("lee");
  here.registry.claim(kept);
  await kept.reaches("established");
  await redis.command("FLUSHALL");
  await until(
    async () => (await sessionIds(there.registry)).includes(kept.sessionId),
    "it is announced again",
  );
  const { node } = here.registry;
  await redis.command("ZREM", "{solo}:nodes", node);
  await until(
    () => here.registry.node !== node && here.registry.state === "ready",
    "it is back by a new name",
  );
  const last = new TestCandidate("kim");
  here.registry.claim(last);
  await last.reaches("established");
}

Deno.test("docs/redis-access.md: its user may do all that a service does, and has no right that nothing needs", async () => {
  await using folder = await temporaryFolder();
  await using redis = await redisWithUser(folder.path);
  try {
    await liveThrough(redis);
  } catch (error) {
    throw new Error(`a service cannot live with the rights on the page: ${await refusals(redis)}`, {
      cause: error,
    });
  }
  assert.equal(await refusals(redis), "", "a right is missing on the page");
  const run = await commandsRun(redis);
  assert.deepEqual(commandsOfUser().filter((command) => !run.has(command)), [], "rights that nothing needs");
});

Deno.test("docs/redis-access.md: in a cluster its user needs the three rights that the page names beside", async () => {
  await using cluster = await RedisCluster.start({ args: ["--user", ...serviceUser(), ...clusterRights()] });
  const url = cluster.url.replace("//", `//solo:${PASSWORD}@`);
  await using service = await joined({ url });
  const kim = new TestCandidate("kim");
  service.registry.claim(kim);
  await kim.reaches("established");
  for (const redis of cluster.redises) assert.equal(await refusals(redis), "");
});

for (
  const [what, command] of [
    ["a key of another service", ["GET", "other:epoch"]],
    ["a key of another service, in a script", [
      "EVAL",
      "return redis.call('get', KEYS[1])",
      "1",
      "other:epoch",
    ]],
    ["a key of another service that a script hides", [
      "EVAL",
      "return redis.call('get', 'other:epoch')",
      "0",
    ]],
    ["a key whose name only begins like ours", ["GET", "{solo}2:epoch"]],
    ["a channel of another service", ["PUBLISH", "other:node:1", "evict"]],
    ["all keys", ["KEYS", "*"]],
    ["all data", ["FLUSHALL"]],
    ["all data, in a script", ["EVAL", "return redis.call('flushall')", "0"]],
    ["settings", ["CONFIG", "GET", "*"]],
    ["users", ["ACL", "LIST"]],
    ["what others do", ["MONITOR"]],
    ["other clients", ["CLIENT", "LIST"]],
    ["files", ["SAVE"]],
  ] as [string, string[]][]
) {
  Deno.test(`docs/redis-access.md: its user cannot reach ${what}`, async () => {
    await using folder = await temporaryFolder();
    await using redis = await redisWithUser(folder.path);
    const as = ["--user", "solo", "--pass", PASSWORD, "--no-auth-warning"];
    assert.equal(await redis.command(...as, "SET", "{solo}:epoch", "1"), "OK");
    assert.match(
      await redis.command(...as, ...command),
      /NOPERM|permission|can't access|can't run/,
    );
  });
}

Deno.test("docs/redis-access.md: a wrong password is an error at the start that says so", async () => {
  await using folder = await temporaryFolder();
  await using redis = await redisWithUser(folder.path);
  await assert.rejects(
    inRedis({ url: urlOf(redis, "solo", "guessed"), leaseMs: LASTING_LEASE_MS, startTimeoutMs: 1000 }),
    (error: Error) => {
      assert.match(error.message, /cannot use Redis at .*: WRONGPASS/);
      assert.ok(!error.message.includes("guessed"), "nor is a password shown");
      return true;
    },
  );
});

/** A Redis that speaks TLS with the certificates of the page, made for this machine, in the place of redis.example. */
async function redisWithTls(folder: string): Promise<Redis & { tlsPort: number }> {
  const [make] = blocks("sh").filter((block) => block.startsWith("openssl req -x509"));
  const made = await new Deno.Command("sh", {
    args: ["-ec", make!.replaceAll("redis.example", "localhost")],
    cwd: folder,
    stderr: "piped",
  }).output();
  assert.ok(made.success, new TextDecoder().decode(made.stderr));
  const tlsPort = freePort();
  const settings = blocks("conf")[0]!.trimEnd().split("\n").map((line) => line.split(" "))
    .filter(([name]) => name !== "port") // the test looks over the plain one
    .flatMap(([name, value]) => [
      `--${name}`,
      name === "tls-port"
        ? String(tlsPort)
        : value!.endsWith(".pem") || value!.endsWith(".key")
        ? `${folder}/${value}`
        : value!,
    ]);
  return Object.assign(await Redis.start({ args: settings }), { tlsPort });
}

for (const variable of ["DENO_CERT", "NODE_EXTRA_CA_CERTS"]) {
  Deno.test(`docs/redis-access.md: with the CA in ${variable} ws-servers are one service over TLS`, async () => {
    await using folder = await temporaryFolder();
    await using redis = await redisWithTls(folder.path);
    const start = () =>
      startServer("ws-server", ["--redis", `rediss://localhost:${redis.tlsPort}`], {
        env: { [variable]: `${folder.path}/ca.pem` },
      });
    await using here = await start();
    await using there = await start();
    await using older = await WsClient.establish(here.port, "kim");
    await using newer = await WsClient.establish(there.port, "kim");
    assert.equal((await older.end()).code, 4409);
    assert.ok(newer.isOpen);
    const clients = await redis.command("CLIENT", "LIST");
    assert.ok(clients.includes(`laddr=127.0.0.1:${redis.tlsPort}`), "they are connected by the port of TLS");
  });
}

for (
  const [what, host, withCa, says] of [
    [
      "without the CA",
      "localhost",
      false,
      /no CA that is trusted here has signed its certificate \(.*\); name the file of its CA in DENO_CERT$/m,
    ],
    [
      "for another name than the certificate's",
      "127.0.0.1",
      true,
      /its certificate is for localhost, not for 127\.0\.0\.1; write it in --redis as its certificate names it/,
    ],
  ] as const
) {
  Deno.test(`docs/redis-access.md: ${what} a ws-server does not start, and says why and what to do`, async () => {
    await using folder = await temporaryFolder();
    await using redis = await redisWithTls(folder.path);
    const { code, stderr } = await runProgram("ws-server", [
      ...["--host", "127.0.0.1", "--port", "0", "--redis", `rediss://${host}:${redis.tlsPort}`],
    ], { env: withCa ? { DENO_CERT: `${folder.path}/ca.pem` } : {} });
    assert.equal(code, 1);
    assert.match(stderr, /^ERROR: cannot use Redis at rediss:\/\//m);
    assert.match(stderr, says);
  });
}
