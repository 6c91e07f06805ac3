/** Sentinels and a Redis Cluster that speak nothing but TLS, as docs/operations.md and docs/redis-access.md tell to set them up. */

import assert from "node:assert/strict";
import { CertificateAuthority, listening } from "../support/certificates.ts";
import { runProgram, type Server, startServer } from "../support/program.ts";
import {
  blocks,
  clusterRights,
  PASSWORD,
  sentinelRights,
  serviceUser,
} from "../support/redis_access_page.ts";
import { freePort } from "../support/ports.ts";
import { Redis } from "../support/redis.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import { Sentinels } from "../support/sentinels.ts";
import { Subprocess } from "../support/subprocess.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** Longer than a failover takes, on any machine, s. */
const LEASE_S = 30;

/** Sentinels have a user of their own for the service, and nobody else gets in. */
const ASKER = { user: "asker", password: "asks" };

function flags(url: string): string[] {
  return ["--redis", url, "--lease", String(LEASE_S)];
}

/** Two ws-servers, and a client of each. */
class Service implements AsyncDisposable {
  private constructor(
    readonly servers: [Server, Server],
    readonly kim: WsClient,
    readonly lee: WsClient,
  ) {}

  static async start(url: string, authority: CertificateAuthority): Promise<Service> {
    const start = () => startServer("ws-server", flags(url), { env: { DENO_CERT: authority.certificate } });
    const here = await start();
    const there = await start();
    const [kim, lee] = [await comes(here, "kim"), await comes(there, "lee")];
    return new Service([here, there], kim, lee);
  }

  /** Nobody was closed, and clients connect to both and replace each other. */
  async goesOn(): Promise<void> {
    const [here, there] = this.servers;
    await using _stranger = await comes(here, "stranger");
    await using newer = await comes(there, "kim");
    assert.equal((await this.kim.end()).code, 4409, "replaced, and not closed before");
    assert.ok(newer.isOpen && this.lee.isOpen);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of [this.kim, this.lee, ...this.servers]) await part[Symbol.asyncDispose]();
  }
}

/** Connects, as often as it is turned away. */
async function comes({ port }: Server, clientId: string): Promise<WsClient> {
  let client: WsClient | undefined;
  await until(async () => {
    client = await WsClient.establish(port, clientId).catch(() => undefined);
    return client !== undefined;
  }, `${clientId} is established`);
  return client!;
}

/** What a ws-server says that does not start. */
async function refusal(url: string, authority?: CertificateAuthority): Promise<string> {
  const { code, stderr } = await runProgram("ws-server", [
    ...["--host", "127.0.0.1", "--port", "0"],
    ...flags(url),
  ], { env: authority ? { DENO_CERT: authority.certificate } : {} });
  assert.equal(code, 1, stderr);
  return stderr;
}

const asUser = (url: string) => url.replace("//", `//solo:${PASSWORD}@`);

/** Whether those that run are set up as the block of the page says that begins so. */
async function areSetUpAsSaid(beginning: string, ask: (name: string) => Promise<string[]>): Promise<void> {
  const [block] = blocks("conf").filter((block) => block.startsWith(beginning));
  const lines = block!.trimEnd().split("\n").filter((line) => !line.startsWith("#"));
  for (const line of lines) {
    const [, name, value] = line.replace("redis.example", "localhost").match(/^(.*) (\S+)$/)!;
    for (const answer of await ask(name!)) assert.equal(answer.split("\n")[1], value, name);
  }
}

/** Asks Redises for a setting. */
function configOf(redises: Redis[]): (name: string) => Promise<string[]> {
  return (name) => Promise.all(redises.map((redis) => redis.command("CONFIG", "GET", name)));
}

for (const host of ["localhost", "127.0.0.1"]) {
  Deno.test(`ws-server, rediss+sentinel, certificates for ${host}: the death of the primary closes nobody, and the users of docs/redis-access.md are enough`, async () => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issue(host);
    await using sentinels = await Sentinels.start({ tls, args: ["--user", ...serviceUser()] });
    if (host === "localhost") {
      await areSetUpAsSaid("# every Redis behind Sentinels\n", configOf(sentinels.redises));
      await areSetUpAsSaid(
        "# every Sentinel,",
        (name) => sentinels.ask("SENTINEL", "CONFIG", "GET", name.replace("sentinel ", "")),
      );
    }
    const { user, password } = ASKER;
    await sentinels.ask("ACL", "SETUSER", user, "on", `>${password}`, ...sentinelRights());
    await sentinels.ask("ACL", "SETUSER", "default", "off");
    const url = asUser(sentinels.url) + `?sentinel_username=${user}&sentinel_password=${password}`;
    await using service = await Service.start(url, authority);
    const { primary } = sentinels;
    await primary.kill();
    await sentinels.failover(primary);
    await service.goesOn();
    const refused = await sentinels.ask("ACL", "LOG");
    for (const redis of sentinels.redises) refused.push(await redis.command("ACL", "LOG"));
    assert.ok(refused.every((log) => !/solo|asker/.test(log)), refused.join("\n"));

    const wrong = await refusal(url.replace(`=${password}`, "=guessed"), authority);
    assert.match(wrong, /nobody knows the primary: .*WRONGPASS/);
    assert.ok(!wrong.includes("guessed"), "nor is a password shown");
  });

  Deno.test(`ws-server, rediss+cluster, certificates for ${host}: a failover by force and a death close nobody, and the user of docs/redis-access.md is enough`, async () => {
    await using authority = await CertificateAuthority.create();
    const tls = await authority.issue(host);
    await using cluster = await RedisCluster.start({
      tls,
      args: ["--user", ...serviceUser(), ...clusterRights()],
    });
    if (host === "localhost") await areSetUpAsSaid("# every node of a cluster\n", configOf(cluster.redises));
    await using service = await Service.start(asUser(cluster.url), authority);
    const { redis } = await cluster.owner();
    assert.equal(await (await cluster.replica()).command("CLUSTER", "FAILOVER", "FORCE"), "OK");
    const next = await cluster.failover(redis);
    await using _between = await comes(service.servers[0], "between");
    await until(
      async () => /state=online/.test(await next.command("INFO", "replication")),
      "it has a replica",
    );
    await next.kill();
    await cluster.failover(next);
    await service.goesOn();
    for (const redis of cluster.redises) assert.doesNotMatch(await redis.command("ACL", "LOG"), /solo/);
  });
}

Deno.test("ws-server, rediss+sentinel: one that is not named as its certificate names it, or that no trusted CA has signed, is refused", async () => {
  await using authority = await CertificateAuthority.create();
  await using another = await CertificateAuthority.create();
  const tls = await authority.issue("localhost");
  await using sentinels = await Sentinels.start({ tls });
  const { url, primary } = sentinels;
  const [port] = sentinels.sentinels.map(({ port }) => port);

  const untrusted = new RegExp(
    `nobody knows the primary: .*localhost:${port}: no CA that is trusted here has signed its certificate .*; ` +
      "name the file of its CA in DENO_CERT$",
    "m",
  );
  const [withoutCa, withAnother, misspelt, plain] = await Promise.all([
    refusal(url),
    refusal(url, another),
    refusal(url.replaceAll("localhost", "127.0.0.1"), authority),
    refusal(url.replace("rediss", "redis"), authority),
  ]);
  assert.match(withoutCa, untrusted);
  assert.match(withAnother, untrusted);
  assert.match(
    misspelt,
    new RegExp(
      `127.0.0.1:${port}: its certificate is for localhost, not for 127.0.0.1; .*write it in --redis as`,
    ),
  );
  assert.match(plain, /it hangs up .*, as one does that wants TLS: rediss in the place of redis;/);

  await sentinels.ask("SENTINEL", "CONFIG", "SET", "announce-hostnames", "no");
  const misnamed =
    `the primary is said to be 127.0.0.1:${primary.port}, and its certificate is for localhost, ` +
    "not for 127.0.0.1; let the Sentinels name it as its certificate does .*announce-hostnames yes";
  assert.match(await refusal(url, authority), new RegExp(misnamed));
  await sentinels.ask("SENTINEL", "CONFIG", "SET", "announce-hostnames", "yes");
  const { certificate, key } = await another.issue("localhost");
  const exchange = ["CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key];
  assert.equal(await primary.command(...exchange), "OK");
  assert.match(
    await refusal(url, authority),
    new RegExp(`the primary is said to be localhost:${primary.port}, and no CA that is trusted here`),
  );
});

Deno.test("ws-server, rediss+sentinel: one that no trusted CA has signed is not believed, whatever it knows", async () => {
  await using authority = await CertificateAuthority.create();
  await using another = await CertificateAuthority.create();
  const tls = await authority.issue("localhost");
  await using sentinels = await Sentinels.start({ tls });
  await using decoy = await Redis.start({ tls });
  await using folder = await temporaryFolder();
  const port = freePort();
  const path = `${folder.path}/sentinel.conf`;
  await Deno.writeTextFile(
    path,
    [
      ...listening(port, await another.issue("localhost")).map((setting) => setting.join(" ")),
      "sentinel resolve-hostnames yes",
      "sentinel announce-hostnames yes",
      `sentinel monitor mymaster localhost ${decoy.port} 1`,
      "sentinel config-epoch mymaster 1000", // the latest news
    ].join("\n"),
  );
  await using liar = new Subprocess("a Sentinel that lies", ["redis-server", path, "--sentinel"]);
  await liar.line(/\+monitor master/);
  await using service = await Service.start(sentinels.url.replace("://", `://localhost:${port},`), authority);
  await service.goesOn();
  assert.equal(await decoy.command("HLEN", "{solo}:members"), "0");
});

Deno.test("ws-server, rediss+sentinel: after a failover to a name that is in no certificate the log says so, and nobody is closed when it is mended", async () => {
  await using authority = await CertificateAuthority.create();
  await using sentinels = await Sentinels.start({ tls: await authority.issue("localhost") });
  await using service = await Service.start(sentinels.url, authority);
  const { primary } = sentinels;
  const announceHostnames = (value: string) =>
    sentinels.ask("SENTINEL", "CONFIG", "SET", "announce-hostnames", value);
  await announceHostnames("no");
  await primary.kill();
  for (const { program } of service.servers) {
    await program.line(
      /error Redis is still out of reach: "the primary is said to be 127\.0\.0\.1:\d+, and its/,
    );
  }
  await sentinels.failover(primary);
  await announceHostnames("yes");
  await service.goesOn();
});

Deno.test("ws-server, rediss+cluster: a node that is not named as its certificate names it is refused", async () => {
  await using authority = await CertificateAuthority.create();
  await using cluster = await RedisCluster.start({ tls: await authority.issue("localhost") });
  const { url } = cluster;
  const { port } = (await cluster.owner()).redis;
  const set = async (name: string, value: string) => {
    for (const redis of cluster.redises) {
      assert.equal(await redis.command("CONFIG", "SET", name, value), "OK");
    }
  };

  assert.match(await refusal(url), /nobody knows the primary: .*; name the file of its CA in DENO_CERT$/m);
  await set("cluster-preferred-endpoint-type", "ip");
  assert.match(
    await refusal(url, authority),
    new RegExp(
      `the primary is said to be 127.0.0.1:${port}, and its certificate is for localhost, not for ` +
        "127.0.0.1; let the nodes name it as its certificate does .*cluster-announce-hostname",
    ),
  );
  // no host at all: they are to be reached as the one that was asked is
  await set("cluster-preferred-endpoint-type", "unknown-endpoint");
  {
    await using service = await Service.start(url, authority);
    await service.goesOn();
  }
  await set("cluster-preferred-endpoint-type", "hostname");
  await set("cluster-announce-hostname", ""); // the owner knows at once, the others go on to tell what they have heard
  assert.match(
    await refusal(`rediss+cluster://localhost:${port}`, authority),
    new RegExp(
      `localhost:${port}: it does not know the name of the node at port ${port}; ` +
        "set cluster-announce-hostname on every node",
    ),
  );
});

Deno.test("ws-server, rediss: says what is wrong with a certificate, and what to do", async () => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issue("localhost");
  await using demanding = await Redis.start({ tls });
  assert.equal(await demanding.command("CONFIG", "SET", "tls-auth-clients", "yes"), "OK");
  assert.match(
    await refusal(demanding.url, authority),
    /it hangs up after the handshake .*, as one does that wants certificates of its clients: tls-auth-clients no;/,
  );

  const { certificate, key } = await authority.issue("localhost", { days: -1 });
  await using outdated = await Redis.start({ tls });
  assert.equal(
    await outdated.command("CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key),
    "OK",
  );
  assert.match(
    await refusal(outdated.url, authority),
    /its certificate is out of date \(.*\); renew it$/m,
  );
});
