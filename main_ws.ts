/** ws-server: one live connection per client, on any number of processes. */

import { InvalidArgumentError } from "commander";
import { defaultMaxConnections } from "./lib/service/descriptors.ts";
import { messageOf, ProgramError } from "./lib/service/errors.ts";
import {
  addLogFlags,
  createProgram,
  EXIT_USAGE,
  exitOf,
  flag,
  integer,
  MAX_SECONDS,
  nonEmpty,
  port,
  seconds,
} from "./lib/service/flags.ts";
import { configureLog, getLogger } from "./lib/service/log.ts";
import { printable } from "./lib/service/printable.ts";
import { aborted, listenForShutdown } from "./lib/service/shutdown.ts";
import { VERSION } from "./lib/service/version.ts";
import { type Coordination, inMemory, inRedis } from "./lib/sessions/coordination.ts";
import { hashTag } from "./lib/sessions/registry/redis/keys.ts";
import { Access } from "./lib/sessions/http/access/access.ts";
import { type AccessFlags, accessOf, addAccessFlags } from "./lib/sessions/http/access/access_flags.ts";
import { connect } from "./lib/sessions/connect.ts";
import { SessionMetrics } from "./lib/sessions/http/metrics.ts";
import { Page } from "./lib/sessions/http/page.ts";
import { SessionServer } from "./lib/sessions/server.ts";
import { parseRedisAddress } from "./lib/sessions/redis_address.ts";
import { transportFor } from "./lib/sessions/transport/listen.ts";
import { addressText } from "./lib/service/address.ts";
import { hostnamesOf, type TransportName } from "./lib/sessions/transport/transport.ts";

const log = getLogger(["solo", "main"]);

/** Where a Redis is looked for, once, when none is named. */
const LOCAL_REDIS = "redis://127.0.0.1:6379";
const LOOK_TIMEOUT_MS = 500;

/** How long a Redis that was named may take to answer at the start. */
const START_TIMEOUT_MS = 5_000;

/** The exit code of a process that should be started again: its transport is worn out. `EX_TEMPFAIL`. */
const EXIT_WORN_OUT = 75;

/** What `--shutdown-timeout` leaves after `--drain-delay` at least, for sessions to be closed in order. */
const MIN_CLOSING_MS = 1_000;

/** How long `health` waits for an answer. */
const HEALTH_TIMEOUT_MS = 3_000;

interface Flags extends AccessFlags {
  host: string;
  port: number;
  transport: TransportName | "auto";
  redis?: string;
  redisPrefix: string;
  lease: number;
  maxConnections?: number;
  maxMessages: number;
  takeoverLimit: number;
  drainDelay: number;
  drainRate: number;
  shutdownTimeout: number;
  page: boolean;
  logLevel: string;
  logFormat: string;
}

function createCommandLine() {
  const program = createProgram("ws-server", "One live connection per client, on any number of processes.")
    .addOption(
      flag("--host <address>", "address to listen on; localhost is 127.0.0.1 and ::1", {
        env: "SOLO_HOST",
        parse: nonEmpty,
        default: "localhost",
      }),
    )
    .addOption(
      flag("--port <port>", "port to listen on, 0 for any free one", {
        env: "SOLO_PORT",
        parse: port,
        default: 8880,
      }),
    )
    .addOption(
      flag(
        "--transport <name>",
        "who speaks HTTP: deno where only this machine can connect, node where others can; auto looks at --host and --operator",
        { env: "SOLO_TRANSPORT", default: "auto" },
      ).choices(["auto", "deno", "node"]),
    )
    .addOption(
      flag(
        "--redis <url>",
        'Redis that makes many processes one service, or "off" to keep sessions in this process ' +
          `(default: $REDIS_URL, else ${LOCAL_REDIS} if one answers there)`,
        { env: "SOLO_REDIS", parse: redisUrl },
      ),
    )
    .addOption(
      flag("--redis-prefix <text>", "stands in braces before every key in Redis", {
        env: "SOLO_REDIS_PREFIX",
        parse: redisPrefix,
        default: "solo",
      }),
    )
    .addOption(
      flag("--lease <seconds>", "how long the others respect a process that has gone silent", {
        env: "SOLO_LEASE",
        parse: seconds({ min: 1, max: 3600 }),
        default: 10_000,
        defaultText: "10",
      }),
    )
    .addOption(
      flag(
        "--max-connections <count>",
        "refuse more sockets than this (default: the descriptor limit less a reserve)",
        {
          env: "SOLO_MAX_CONNECTIONS",
          parse: integer({ min: 1 }),
        },
      ),
    )
    .addOption(
      flag("--max-messages <count>", "close a client that sends more messages than this in a second", {
        env: "SOLO_MAX_MESSAGES",
        parse: integer({ min: 1 }),
        default: 100,
      }),
    )
    .addOption(
      flag(
        "--takeover-limit <count>",
        "how often a client_id may be taken over in a minute; 0 for any number",
        {
          env: "SOLO_TAKEOVER_LIMIT",
          parse: integer({ min: 0, max: 1000 }),
          default: 10,
        },
      ),
    )
    .addOption(
      flag(
        "--drain-delay <seconds>",
        "wait between /readyz saying 503 and closing sessions, for balancers to notice",
        {
          env: "SOLO_DRAIN_DELAY",
          parse: seconds({ min: 0, max: MAX_SECONDS - MIN_CLOSING_MS / 1000 }), // what --shutdown-timeout can contain
          default: 0,
        },
      ),
    )
    .addOption(
      flag(
        "--drain-rate <count>",
        "close so many sessions a second when stopped, or more where --shutdown-timeout has no time for that",
        {
          env: "SOLO_DRAIN_RATE",
          parse: integer({ min: 1 }),
          default: 1000,
        },
      ),
    )
    .addOption(
      flag("--shutdown-timeout <seconds>", "end at the latest this long after SIGTERM", {
        env: "SOLO_SHUTDOWN_TIMEOUT",
        parse: seconds({ min: MIN_CLOSING_MS / 1000 }),
        default: 30_000,
        defaultText: "30",
      }),
    )
    .addOption(
      flag("--no-page", "do not show browsers a live page at /; the variable may hold anything", {
        env: "SOLO_NO_PAGE",
      }),
    );
  addLogFlags(addAccessFlags(program)).action(async () => Deno.exit(await serve(program.opts<Flags>())));
  program.command("health")
    .description("ask the server on --host and --port whether it is ready; exit 0 or 1")
    .helpOption("--help", "print this help and exit")
    .action(() => health(program.opts<Flags>()));
  program.command("connect")
    .description(
      "connect as a client, print the session_id, stay, and say why the connection ended; $SOLO_TOKEN holds the token, " +
        "where the service asks for one",
    )
    .helpOption("--help", "print this help and exit")
    .addOption(
      flag("--endpoint <url>", "where the service is", {
        env: "SOLO_ENDPOINT",
        default: "http://localhost:8880",
      }),
    )
    .addOption(flag("--client-id <text>", "who connects", { env: "SOLO_CLIENT_ID" }))
    .action(async ({ endpoint, clientId }: { endpoint: string; clientId?: string }) => {
      checkConnect(program);
      using shutdown = listenForShutdown(() => Deno.exit(1));
      const token = Deno.env.get("SOLO_TOKEN");
      const show = Deno.stdout.isTerminal() ? printable : (text: string) => text; // into a pipe goes exactly what came
      const print = (line: string) => console.log(show(line));
      await connect({ endpoint, clientId, token, signal: shutdown.signal, print });
    });
  return program;
}

/** @returns the exit code. */
async function serve(flags: Flags): Promise<number> {
  checkShutdown(flags);
  await using _log = await configureLog({
    level: flags.logLevel,
    format: flags.logFormat,
    color: Deno.stderr.isTerminal() && !Deno.noColor,
  });
  using shutdown = listenForShutdown(() => Deno.exit(1));

  const access = await Access.open(accessOf(flags, flags.host, (name) => Deno.env.get(name)));
  const maxConnections = flags.maxConnections ?? defaultMaxConnections();
  let metrics!: SessionMetrics;
  await using coordination = await coordinate(flags, () => metrics);
  const hosts = flags.operator ? [flags.host, flags.operator.hostname] : [flags.host];
  const transport = flags.transport === "auto" ? transportFor(...hosts) : flags.transport;
  const server = await SessionServer.listen({
    hostname: flags.host,
    port: flags.port,
    transport,
    operator: flags.operator,
    access,
    registry: coordination.registry,
    events: coordination.events,
    maxConnections,
    maxMessages: flags.maxMessages,
    drainRate: flags.drainRate,
    page: flags.page ? new Page({ operable: access.operable }) : undefined,
    observer: (counts) => metrics = new SessionMetrics(counts),
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    // The platform rejects where no one can catch it when a text message does not fit into a string (over 512 MiB):
    // the socket ends, the process need not.
    event.preventDefault();
    metrics.onUnhandledRejection();
    log.error("unhandled rejection: {error}", { error: messageOf(event.reason) });
  });
  const [address, other] = server.addresses;
  log.info(
    `ws-server {version} listening on {address}${other ? " and {other}" : ""}, transport {transport}, ` +
      "at most {max} connections",
    { version: VERSION, address, other, transport, max: maxConnections },
  );
  if (flags.operator) {
    log.info("operators are served at {addresses}", { addresses: server.operatorAddresses.join(" and ") });
  }

  const { signal } = shutdown;
  await aborted(AbortSignal.any([signal, server.wornOut]));
  log.info("{reason}: shutting down", { reason: signal.aborted ? signal.reason : "worn out" });
  await server.drain({ delayMs: flags.drainDelay, timeoutMs: flags.shutdownTimeout });
  log.info("stopped");
  return signal.aborted ? 0 : EXIT_WORN_OUT;
}

/** A drain that ends before it has begun to close would cut everybody without a word. */
function checkShutdown({ drainDelay, shutdownTimeout }: Flags): void {
  if (shutdownTimeout >= drainDelay + MIN_CLOSING_MS) return;
  throw new ProgramError(
    `--drain-delay ${drainDelay / 1000} leaves no time to close sessions within --shutdown-timeout ` +
      `${shutdownTimeout / 1000}: give --shutdown-timeout ${
        (drainDelay + MIN_CLOSING_MS) / 1000
      } or more, or a shorter delay`,
    { exitCode: EXIT_USAGE },
  );
}

/** The flags of the server are taken behind every subcommand, and here they would mean nothing. */
function checkConnect(program: ReturnType<typeof createProgram>): void {
  const foreign = program.options.find((option) =>
    program.getOptionValueSource(option.attributeName()) === "cli"
  );
  if (!foreign) return;
  throw new ProgramError(`connect does not know ${foreign.long}: it takes --endpoint and --client-id`, {
    exitCode: EXIT_USAGE,
  });
}

function redisUrl(text: string): string {
  try {
    if (text !== "off") parseRedisAddress(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}; or off.`);
  }
}

function redisPrefix(text: string): string {
  try {
    hashTag(text);
    return text;
  } catch {
    throw new InvalidArgumentError(
      "Give one or more characters, without { and }: all keys begin with {<prefix>}.",
    );
  }
}

function redisUrlOfEnvironment(): string | undefined {
  const text = Deno.env.get("REDIS_URL");
  if (!text) return undefined;
  try {
    return redisUrl(text);
  } catch (error) {
    throw new ProgramError(`REDIS_URL is not usable. ${messageOf(error)}`, {
      exitCode: EXIT_USAGE,
      cause: error,
    });
  }
}

async function coordinate(flags: Flags, observer: () => SessionMetrics): Promise<Coordination> {
  const url = flags.redis ?? redisUrlOfEnvironment();
  const open = (url: string, startTimeoutMs: number) =>
    inRedis({
      url,
      prefix: flags.redisPrefix,
      leaseMs: flags.lease,
      takeoverLimit: flags.takeoverLimit,
      startTimeoutMs,
      observer,
    });
  if (url === "off") return inMemory({ takeoverLimit: flags.takeoverLimit });
  if (url !== undefined) return await open(url, START_TIMEOUT_MS);
  try {
    const coordination = await open(LOCAL_REDIS, LOOK_TIMEOUT_MS);
    log.info("found Redis at {url}: all processes that use it are one service", { url: LOCAL_REDIS });
    return coordination;
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    log.warn(
      "no Redis at {url}: sessions stay in this process; to run many processes as one service, start Redis or name " +
        "one with --redis (and --redis off to not look for one)",
      { url: LOCAL_REDIS },
    );
    return inMemory({ takeoverLimit: flags.takeoverLimit });
  }
}

/** Asks a running server whether it is ready. */
async function health({ host, port }: Flags): Promise<void> {
  const [address = host] = hostnamesOf(host);
  const name = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  const url = `http://${addressText(name, port)}/readyz`;
  let line: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
    line = (await response.text()).trim();
    if (response.ok) return console.log(line);
  } catch (error) {
    throw new ProgramError(`no answer from ${url}: ${messageOf(error)}`, { cause: error });
  }
  throw new ProgramError(`${url} says: ${line}`);
}

if (import.meta.main) {
  try {
    await createCommandLine().parseAsync(Deno.args, { from: "user" });
    Deno.exit(0);
  } catch (error) {
    const { code, line } = exitOf(error);
    if (line) console.error(line);
    Deno.exit(code);
  }
}
