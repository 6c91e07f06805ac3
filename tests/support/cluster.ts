/** Several `ws-server`s with a Redis of their own. */

import { freePort } from "./ports.ts";
import { Redis } from "./redis.ts";
import { type Server, startServer } from "./program.ts";
import { IN_TURN } from "./transports.ts";
import { ENDING_LEASE_MS, LASTING_LEASE_MS, until } from "./wait.ts";
import { WsClient } from "./ws_client.ts";

/** For tests in which no lease is to end, s. */
export const LASTING_LEASE_S = LASTING_LEASE_MS / 1000;

/** For tests in which one ends by itself, s. */
export const ENDING_LEASE_S = ENDING_LEASE_MS / 1000;

export interface ClusterOptions {
  /** How many processes. @default 3 */
  nodes?: number;
  /** @default LASTING_LEASE_S */
  leaseS?: number;
  /** More flags for each process. `--transport` makes it the same for all. */
  args?: string[];
  /** What operators have to know. @default nothing */
  operatorToken?: string;
}

export class Cluster implements AsyncDisposable {
  #started = 0;

  private constructor(
    readonly redis: Redis,
    readonly servers: Server[],
    readonly flags: string[],
    readonly operatorToken?: string,
  ) {}

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { nodes = 3, leaseS = LASTING_LEASE_S, args = [], operatorToken } = options;
    const redis = await Redis.start();
    const flags = ["--redis", redis.url, "--lease", String(leaseS), ...args];
    const cluster = new Cluster(redis, [], flags, operatorToken);
    try {
      const adding = Array.from({ length: nodes }, () => cluster.add());
      await Promise.allSettled(adding); // what is still being started when another has failed has to be ended too
      await Promise.all(adding);
      for (const { port } of cluster.servers) await untilReady(port);
      // on a new Redis the first session waits until it is clear that no older process holds one
      const first = await WsClient.establish(cluster.port(0), "first");
      await first[Symbol.asyncDispose]();
      await untilListed(cluster.port(0), [], operatorToken);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /**
   * Starts one more process; they take turns with the transports, which must not matter to anyone. Another one finds its port
   * free again when it has ended.
   */
  async add(args: string[] = []): Promise<Server> {
    const transport = IN_TURN[this.#started++ % IN_TURN.length]!;
    const env: Record<string, string> = {};
    if (this.operatorToken !== undefined) env.SOLO_OPERATOR_TOKEN = this.operatorToken;
    const flags = ["--port", String(freePort()), "--transport", transport, ...this.flags, ...args];
    const server = await startServer("ws-server", flags, { env });
    this.servers.push(server);
    return server;
  }

  /** The lease of a process that was killed is over: with that leases can be long for those that live. */
  async endLease({ program }: Server): Promise<void> {
    const [, node] = await program.line(/node (\w+) takes sessions/);
    await this.redis.endLease(node!);
  }

  port(index: number): number {
    return this.servers[index]!.port;
  }

  get pids(): number[] {
    return this.servers.map(({ program }) => program.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
    await this.redis[Symbol.asyncDispose]();
  }
}

/** Waits until a process takes clients. */
export async function untilReady(port: number): Promise<void> {
  let answer = "";
  await until(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`);
    answer = await response.text();
    return response.ok;
  }, () => `a ws-server is ready, and does not say: ${answer}`);
}

/**
 * What `/sessions` of a process shows: `client_id -> session_id`. It is asked again when it cannot say for now, as on a busy
 * machine where it has its answer from Redis late.
 */
export async function sessionsOf(port: number, operatorToken = ""): Promise<Map<string, string>> {
  const headers = { authorization: `Bearer ${operatorToken}` };
  let response!: Response;
  let body = "";
  await until(async () => {
    response = await fetch(`http://127.0.0.1:${port}/sessions`, { headers });
    try {
      body = await response.text();
    } catch (error) { // it had begun, and has its next part from Redis late
      body = String(error);
      return false;
    }
    return response.status !== 503;
  }, () => `/sessions can say it: ${body}`);
  if (!response.ok) throw new Error(`/sessions answered ${response.status}: ${body}`);
  const lines = body.split("\n").filter(Boolean);
  const sessions = new Map(lines.map((line) => [line.slice(0, -37), line.slice(-36)]));
  if (sessions.size !== lines.length) throw new Error(`/sessions shows a client twice:\n${body}`);
  return sessions;
}

/**
 * Waits until `/sessions` shows these clients and nobody else: a server hears of an end later than the client that has left or
 * was told to.
 *
 * @returns what it shows then.
 */
export async function untilListed(
  port: number,
  clientIds: readonly string[],
  operatorToken?: string,
): Promise<Map<string, string>> {
  let sessions = new Map<string, string>();
  await until(async () => {
    sessions = await sessionsOf(port, operatorToken);
    return sessions.size === clientIds.length && clientIds.every((id) => sessions.has(id));
  }, () => `[${clientIds.join(", ")}] are listed, and not [${[...sessions.keys()].join(", ")}]`);
  return sessions;
}
