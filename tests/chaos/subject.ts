/** The cluster under test: a real Redis, real servers, and between them ways that can be cut. */

import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { commandOf, type Program, startServer } from "../support/program.ts";
import { openDescriptors } from "../support/process.ts";
import { freePort } from "../support/ports.ts";
import { Redis } from "../support/redis.ts";
import { RedisCluster } from "../support/redis_cluster.ts";
import type { Replicated } from "../support/replicated.ts";
import { Sentinels } from "../support/sentinels.ts";
import type { Event } from "./history.ts";
import type { Topology } from "./plan.ts";
import { Proxy } from "./proxy.ts";
import { type Sabotage, sabotaged } from "./sabotage.ts";

const MAX_LAST_WORDS = 2000;

export interface SubjectOptions {
  servers: number;
  leaseMs: number;
  transport: TransportName;
  topology: Topology;
  /** What the servers are without. */
  sabotage?: Sabotage;
  record: (event: Event) => void;
}

/** So many starts in vain, and Redis is not the reason. */
const MAX_STARTS = 20;

/** One server, over all its lives. */
export class Node {
  readonly port: number = freePort();
  /** Descriptors that it had when it was ready and no client had come. */
  idleDescriptors = 0;
  program: Program | undefined;

  /**
   * @param way Between it and a single Redis.
   * @param secret With which it checks the tokens of clients.
   */
  constructor(
    readonly index: number,
    readonly redisUrl: string,
    readonly way: Proxy | undefined,
    readonly secret: string,
    readonly options: SubjectOptions,
  ) {}

  /** Starts it, again and again until it holds, as a supervisor would. */
  async start(): Promise<void> {
    const { leaseMs, transport, sabotage, record } = this.options;
    const args = [
      "--port",
      String(this.port),
      "--redis",
      this.redisUrl,
      "--lease",
      String(leaseMs / 1000),
      ...["--transport", transport],
      ...["--takeover-limit", "0"],
    ];
    for (let attempt = 1;; attempt++) {
      try {
        const { program } = await startServer("ws-server", args, {
          env: { SOLO_AUTH_SECRET: this.secret, ...(sabotage && { SOLO_SABOTAGE: sabotage }) },
          command: sabotage && sabotaged(commandOf("ws-server")),
        });
        this.program = program;
        program.status.then(({ code, signal }) => {
          if (signal === "SIGKILL") return;
          const lastWords = program.stderr.join("\n").slice(-MAX_LAST_WORDS);
          record({ kind: "crash", at: now(), server: this.index, code, lastWords });
        });
        this.idleDescriptors = await openDescriptors(program.pid);
        return;
      } catch (error) {
        if (attempt === MAX_STARTS) throw error;
        // Redis is out of reach at the moment: it says so and ends
      }
    }
  }

  kill(): void {
    this.signal("SIGKILL");
    this.program = undefined;
  }

  signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    try {
      this.program?.kill(signal);
    } catch {
      // it has ended by itself, which is in the history
    }
  }

  /** What `/readyz` answers. */
  async readiness(): Promise<number | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/readyz`, {
        signal: AbortSignal.timeout(1000),
      });
      await response.body?.cancel();
      return response.status;
    } catch {
      return undefined;
    }
  }

  /** Descriptors open now, and those that the platform has lost, as the server itself says. */
  async descriptors(): Promise<{ open: number; lost: number }> {
    const metrics = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
    const lost = Number(metrics.match(/^solo_sockets_lost (\d+)$/m)?.[1] ?? 0);
    return { open: await openDescriptors(this.program!.pid), lost };
  }
}

/** By when a primary that is silent is taken for dead: well below half of a lease, see docs/operations.md. */
const DOWN_AFTER_MS = 500;

/** How Redis is run. */
const START = {
  single: (folder) => Redis.start({ args: ["--dir", folder] }),
  sentinel: () => Sentinels.start({ downAfterMs: DOWN_AFTER_MS }),
  cluster: () => RedisCluster.start({ nodeTimeoutMs: DOWN_AFTER_MS }),
} satisfies Record<Topology, (folder: string) => Promise<Redis | Replicated>>;

export class Subject implements AsyncDisposable {
  readonly nodes: Node[];
  /** With which the servers check the tokens of clients. */
  readonly secret: string = crypto.randomUUID();

  private constructor(
    readonly redis: Redis | Sentinels | RedisCluster,
    readonly folder: string,
    readonly options: SubjectOptions,
  ) {
    this.nodes = Array.from({ length: options.servers }, (_, i) => {
      if (!(redis instanceof Redis)) return new Node(i, redis.url, undefined, this.secret, options);
      const way = new Proxy(redis.port);
      return new Node(i, `redis://127.0.0.1:${way.port}`, way, this.secret, options);
    });
  }

  static async start(options: SubjectOptions): Promise<Subject> {
    const folder = await Deno.makeTempDir({ prefix: "solo-chaos-" });
    const redis = await START[options.topology](folder);
    const subject = new Subject(redis, folder, options);
    try {
      await Promise.all(subject.nodes.map((node) => node.start()));
    } catch (error) {
      await subject[Symbol.asyncDispose]();
      throw error;
    }
    return subject;
  }

  /** The Redis that takes the writes now. */
  async primary(): Promise<Redis> {
    return this.redis instanceof Redis ? this.redis : await this.redis.current();
  }

  /** The file that Redis reads at its start. */
  get snapshot(): string {
    return `${this.folder}/dump.rdb`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) {
      const { program } = node;
      node.kill();
      await program?.[Symbol.asyncDispose]();
      await node.way?.[Symbol.asyncDispose]();
    }
    await this.redis[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Unix time in ms, with fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
