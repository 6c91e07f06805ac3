/** `deno task cluster`, on free ports. */

import assert from "node:assert/strict";
import { TextLineStream } from "../support/lines.ts";
import { freePort } from "../support/redis.ts";
import { sessionsOf } from "../support/cluster.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const ROOT = new URL("../../", import.meta.url);

class ClusterTool implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly port = freePort();
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<void>;

  constructor(readonly wsPort = threeFreePorts()) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-q", "-P=tools", "tools/cluster.ts", "--port", `${this.port}`],
        ...["--ws-port", `${this.wsPort}`, "--tasks-port", `${freePort()}`],
      ],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#drained = this.#collect(this.#child.stdout);
  }

  async isReady(): Promise<void> {
    await until(() => this.lines.some((line) => line.startsWith("Ready")), "the cluster is ready", 60_000);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async end(): Promise<number> {
    await this.#drained;
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM"); // its children have to end too
    } catch {
      // has ended already
    }
    await this.end();
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      this.lines.push(line);
    }
  }
}

/** The first of three ports in a row that were free a moment ago. */
function threeFreePorts(): number {
  while (true) {
    const port = freePort();
    try {
      for (const next of [port + 1, port + 2]) Deno.listen({ hostname: "127.0.0.1", port: next }).close();
      return port;
    } catch {
      // somebody has one of them
    }
  }
}

Deno.test("cluster: comes up as one service, and Ctrl-C stops all of it", async () => {
  await using cluster = new ClusterTool();
  await cluster.isReady();
  const older = await WsClient.establish(cluster.port, "test1");
  await using newer = await WsClient.establish(cluster.port, "test1");
  assert.equal((await older.end()).code, 4409);
  assert.deepEqual(await sessionsOf(cluster.wsPort + 2), new Map([["test1", await newer.sessionId]]));
  cluster.kill("SIGINT");
  assert.equal(await cluster.end(), 0);
  assert.deepEqual(cluster.lines.filter((line) => /ERROR|warning|ended with/.test(line)), []);
});

Deno.test("cluster: when one part ends all of it does, and says so", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using cluster = new ClusterTool(taken.addr.port);
  assert.equal(await cluster.end(), 1);
  const output = cluster.lines.join("\n");
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
