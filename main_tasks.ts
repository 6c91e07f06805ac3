/** tasks-server: queues predefined tasks, runs one at a time and keeps their results. */

import { InvalidArgumentError } from "commander";
import type { TasksMetrics } from "./lib/tasks/metrics.ts";
import { type ServerObserver, TasksServer } from "./lib/tasks/server.ts";
import type { Watch } from "./lib/tasks/watch.ts";
import { defaultMaxConnections } from "./lib/service/descriptors.ts";
import { listenError } from "./lib/service/errors.ts";
import {
  addLogFlags,
  createProgram,
  exitOf,
  flag,
  integer,
  type ListenAddress,
  listenAddress,
  port,
  seconds,
} from "./lib/service/flags.ts";
import { configureLog, getLogger } from "./lib/service/log.ts";
import { aborted, listenForShutdown } from "./lib/service/shutdown.ts";
import { VERSION } from "./lib/service/version.ts";

/** How long clients have to read their replies when the server stops. */
const SHUTDOWN_DEADLINE_MS = 5_000;

/** How long a client may leave a reply unread before it is cut. */
const WRITE_TIMEOUT_MS = 30_000;

/** How long a client may take for a request once it has begun it. */
const REQUEST_TIMEOUT_MS = 30_000;

const MIB = 1024 * 1024;

interface Flags {
  host: string;
  port: number;
  receiving_buffer_size: number;
  connection_limit: number;
  timeout?: number;
  maxRequestBytes: number;
  maxConnections: number;
  connectionBytes: number;
  queueLimit: number;
  queueBytes: number;
  keepResults: number;
  keepBytes: number;
  taskTimeout: number;
  delayFactor: number;
  metrics?: ListenAddress;
  logLevel: string;
  logFormat: string;
}

function readFlags(args: string[]): Flags {
  const program = createProgram(
    "tasks-server",
    "Queues predefined tasks, runs one at a time, keeps the results.",
  );
  const atLeast1 = integer({ min: 1 });
  program
    .addOption(flag("--host <address>", "where to listen", { default: "localhost" }))
    .addOption(flag("--port <port>", "port to listen on, 0 for a free one", { parse: port, default: 4321 }))
    .addOption(
      flag("-r, --receiving_buffer_size <bytes>", "bytes per read", {
        parse: integer({ min: 1, max: 16 * MIB }),
        default: 1024,
      }),
    )
    .addOption(
      flag("-l, --connection_limit <count>", "pending connections (the listen backlog)", {
        parse: integer({ min: 1, max: 2 ** 31 - 1 }),
        default: 1000,
      }),
    )
    .addOption(
      flag("-t, --timeout <seconds>", "how long to wait for data from a client", {
        parse: seconds({ min: 0.001 }),
        defaultText: "for ever",
      }),
    )
    .addOption(
      flag("--max-request-bytes <bytes>", "the longest request", {
        parse: integer({ min: 1, max: 64 * MIB }),
        default: MIB,
      }),
    )
    .addOption(
      flag("--max-connections <count>", "clients at a time; more are refused", {
        parse: atLeast1,
        default: defaultMaxConnections(),
      }),
    )
    .addOption(
      flag("--connection-bytes <bytes>", "memory for the begun requests and waiting replies of all clients", {
        parse: atLeast1,
        default: 64 * MIB,
      }),
    )
    .addOption(flag("--queue-limit <count>", "tasks that wait", { parse: atLeast1, default: 100_000 }))
    .addOption(
      flag("--queue-bytes <bytes>", "memory for the data of waiting tasks", {
        parse: atLeast1,
        default: 64 * MIB,
      }),
    )
    .addOption(flag("--keep-results <count>", "ended tasks to keep", { parse: atLeast1, default: 100_000 }))
    .addOption(
      flag("--keep-bytes <bytes>", "memory for the results of ended tasks", {
        parse: atLeast1,
        default: 64 * MIB,
      }),
    )
    .addOption(
      flag(
        "--task-timeout <seconds>",
        "how long the work of a task may take, its simulated duration not counted",
        {
          parse: seconds({ min: 0.001 }),
          default: 60_000,
          defaultText: "60",
        },
      ),
    )
    .addOption(
      flag(
        "--delay-factor <factor>",
        "multiplies the simulated durations of tasks, for demonstrations and tests",
        {
          parse: factor,
          default: 1,
        },
      ),
    );
  program.addOption(
    flag("--metrics <host:port>", "serve /metrics, /healthz and /readyz there (default: nowhere)", {
      env: "SOLO_METRICS",
      parse: listenAddress,
    }),
  );
  addLogFlags(program);
  return program.parse(args.map(hyphensToUnderscores), { from: "user" }).opts();
}

/** The flags of the original tool have underscores; the usual spelling means the same. */
function hyphensToUnderscores(arg: string): string {
  return arg
    .replace(/^--receiving-buffer-size(?=$|=)/, "--receiving_buffer_size")
    .replace(/^--connection-limit(?=$|=)/, "--connection_limit");
}

function factor(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value > 1000) {
    throw new InvalidArgumentError("Give a number from 0 to 1000.");
  }
  return value;
}

async function main(args: string[]): Promise<void> {
  const flags = readFlags(args);
  await using _log = await configureLog({
    level: flags.logLevel,
    format: flags.logFormat,
    color: Deno.stderr.isTerminal() && !Deno.env.get("NO_COLOR"),
  });
  const log = getLogger(["solo", "tasks"]);
  using shutdown = listenForShutdown(() => Deno.exit(1));
  const metrics = flags.metrics === undefined ? undefined : await createMetrics();
  const server = startServer(flags, metrics);
  await using watch = flags.metrics === undefined
    ? undefined
    : await startWatch(flags.metrics, server, metrics!);
  const [address, other] = server.addresses;
  log.info(`tasks-server {version} listening on {address}${other ? " and {other}" : ""}`, {
    version: VERSION,
    address,
    other,
  });
  if (watch !== undefined) log.info("metrics on http://{address}/metrics", { address: watch.address });
  await aborted(shutdown.signal);
  log.info("{signal}: stopping, clients connected: {clients}", {
    signal: shutdown.signal.reason,
    clients: server.connections,
  });
  await server.close(SHUTDOWN_DEADLINE_MS);
  log.info("stopped");
}

function startServer(flags: Flags, observer: ServerObserver | undefined): TasksServer {
  try {
    return new TasksServer({
      hostname: flags.host,
      port: flags.port,
      backlog: flags.connection_limit,
      receivingBufferBytes: flags.receiving_buffer_size,
      maxRequestBytes: flags.maxRequestBytes,
      idleTimeoutMs: flags.timeout,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
      maxConnections: flags.maxConnections,
      connectionBytes: flags.connectionBytes,
      queue: {
        maxWaiting: flags.queueLimit,
        maxWaitingBytes: flags.queueBytes,
        maxKept: flags.keepResults,
        maxKeptBytes: flags.keepBytes,
      },
      taskTimeoutMs: flags.taskTimeout,
      delayFactor: flags.delayFactor,
      observer,
    });
  } catch (error) {
    throw listenError(error, `${flags.host}:${flags.port}`);
  }
}

// What watches is loaded only where it is asked for: it would be most of what the start costs.

async function createMetrics(): Promise<TasksMetrics> {
  const { TasksMetrics } = await import("./lib/tasks/metrics.ts");
  return new TasksMetrics();
}

async function startWatch(where: ListenAddress, server: TasksServer, metrics: TasksMetrics): Promise<Watch> {
  const { Watch } = await import("./lib/tasks/watch.ts");
  try {
    metrics.watch(server);
    return new Watch(where, server, metrics);
  } catch (error) {
    throw listenError(error, `${where.hostname}:${where.port}`, { host: "--metrics", port: "--metrics" });
  }
}

try {
  await main(Deno.args);
} catch (error) {
  const { code, line } = exitOf(error);
  if (line !== undefined) console.error(line);
  Deno.exit(code);
}
