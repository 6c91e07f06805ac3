/** `deno task cluster`, on free ports. */

import assert from "node:assert/strict";
import { freePort, freePorts } from "../support/ports.ts";
import { sessionsOf } from "../support/cluster.ts";
import { Subprocess } from "../support/subprocess.ts";
import { WsClient } from "../support/ws_client.ts";

const ROOT = new URL("../../", import.meta.url);

class ClusterTool extends Subprocess {
  constructor(readonly wsPort = freePorts(3), readonly port = freePort()) {
    super("cluster", [
      ...[Deno.execPath(), "run", "-q", "-P=tools", "tools/cluster.ts", "--port", `${port}`],
      ...["--ws-port", `${wsPort}`, "--tasks-port", `${freePort()}`],
    ], { cwd: ROOT });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(); // its children have to end too
  }
}

Deno.test("cluster: comes up as one service, and Ctrl-C stops all of it", async () => {
  await using cluster = new ClusterTool();
  await cluster.line(/^Ready/);
  const older = await WsClient.establish(cluster.port, "test1");
  await using newer = await WsClient.establish(cluster.port, "test1");
  assert.equal((await older.end()).code, 4409);
  assert.deepEqual(await sessionsOf(cluster.wsPort + 2), new Map([["test1", await newer.sessionId]]));
  assert.equal(await cluster.stop("SIGINT"), 0);
  const complaint = /ERROR|ended with|warning (?!lease )/; // it is a short one, for a busy machine
  assert.deepEqual(cluster.stdout.filter((line) => complaint.test(line)), []);
});

Deno.test("cluster: when one part ends all of it does, and says so", async () => {
  const first = freePorts(3); // one that the system chose might stand before some that are taken, too
  using _taken = Deno.listen({ hostname: "127.0.0.1", port: first });
  await using cluster = new ClusterTool(first);
  assert.equal(await cluster.end(), 1);
  const output = cluster.stdout.join("\n");
  assert.match(output, /^ws-server-1 +\| ERROR: cannot listen on .*the port is in use/m);
  assert.match(output, /^ws-server-[123] +\| ended with exit code 1: stopping everything$/m);
});

Deno.test("cluster: says what to install where Redis or Caddy is missing", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=tools", "tools/prerequisites.ts", "redis-server", "caddy"],
    cwd: ROOT,
    env: { PATH: "/nowhere" },
  }).output();
  assert.equal(code, 1);
  assert.match(
    new TextDecoder().decode(stderr),
    /^ERROR: redis-server, caddy not found; .*apt-get install redis-server caddy.*brew install redis caddy\n$/,
  );
});
