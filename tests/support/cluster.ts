/** Several `ws-server`s with a Redis of their own. */

import { Redis } from "./redis.ts";
import { type Server, startServer } from "./program.ts";
import { IN_TURN } from "./transports.ts";
import { LASTING_LEASE_MS, until } from "./wait.ts";
import { WsClient } from "./ws_client.ts";

/** For tests in which no lease is to end, s. */
export const LASTING_LEASE_S = LASTING_LEASE_MS / 1000;

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
      // on a new Redis the first session waits until it is clear that no older process holds one
      const first = await WsClient.establish(cluster.port(0), "first");
      await first[Symbol.asyncDispose]();
      await until(
        async () => (await sessionsOf(cluster.port(0), operatorToken)).size === 0,
        "nobody is connected",
      );
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Starts one more process; they take turns with the transports, which must not matter to anyone. */
  async add(args: string[] = []): Promise<Server> {
    const transport = IN_TURN[this.#started++ % IN_TURN.length]!;
    const env: Record<string, string> = {};
    if (this.operatorToken !== undefined) env.SOLO_OPERATOR_TOKEN = this.operatorToken;
    const flags = ["--transport", transport, ...this.flags, ...args];
    const server = await startServer("ws-server", flags, { env });
    this.servers.push(server);
    return server;
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

/** What `/sessions` of a process shows: `client_id -> session_id`. */
export async function sessionsOf(port: number, operatorToken = ""): Promise<Map<string, string>> {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const response = await fetch(`http://127.0.0.1:${port}/sessions`, { headers });
  const body = await response.text();
  if (!response.ok) throw new Error(`/sessions answered ${response.status}: ${body}`);
  const lines = body.split("\n").filter(Boolean);
  const sessions = new Map(lines.map((line) => [line.slice(0, -37), line.slice(-36)]));
  if (sessions.size !== lines.length) throw new Error(`/sessions shows a client twice:\n${body}`);
  return sessions;
}
