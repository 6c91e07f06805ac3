/** Which Redis takes the writes of a service now: where Sentinels or the nodes of a cluster have to be asked. */

import { createClient } from "@redis/client";
import { addressText } from "../service/address.ts";
import { withDeadline } from "../service/clock.ts";
import { messageOf } from "../service/errors.ts";
import type { RedisAddress } from "./redis_address.ts";
import { RedisSetupError, setupError } from "./redis_setup_error.ts";

/** How long the making of one connection may take, and an answer to a question here. */
export const CONNECT_TIMEOUT_MS = 2_000;

/** How long to wait for those who may know better when the first has answered. */
const SECOND_OPINION_MS = 100;

/** Where to connect, and as whom. */
interface Target {
  host: string;
  port: number;
  tls: boolean;
  username?: string;
  password?: string;
  database?: number;
}

export type Client = ReturnType<typeof newClient>;

/** A client that connects once. What goes wrong by then `connect` fails of. */
export function newClient({ host, port, tls, ...options }: Target) {
  const client = createClient({
    ...options,
    RESP: 3, // messages and replies share one connection, in order: one that lost messages has failed altogether
    maintNotifications: "disabled",
    disableOfflineQueue: true,
    disableClientInfo: true, // one right less for its user to have at Redis
    // Every command has a deadline of ours; the library's own costs a timer each, which lives on after the answer.
    commandOptions: { timeout: undefined },
    // Whoever needs another connection makes one: only so it is known which of them has said what.
    socket: {
      ...{ host, port, connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false },
      // With a signal the platform listens for errors of a socket from its beginning. The library does not for a moment after
      // the handshake: on Deno an alert that comes right then, as of a Redis that wants a certificate, ends the process.
      ...(tls && { tls, signal: new AbortController().signal }),
    },
  });
  client.on("error", () => {}); // one that nobody listens for would end the process
  return client;
}

/**
 * Ends a client, one that is just being made as well: the library would go on making it, and where the other end accepts
 * connections and does not answer it would wait for that without an end.
 */
export function endClient(client: Client): void {
  client.once("connect", () => client.destroy());
  client.destroy();
}

/** A Redis that is said to be the primary. */
export interface Primary {
  host: string;
  port: number;
  /** Grows with each failover. */
  epoch: number;
}

/** Finds the primary. @throws when nobody who was asked can tell. */
export type FindPrimary = (signal: AbortSignal) => Promise<Primary>;

/**
 * How to find the primary. All who may know are asked at once and whoever has seen the latest failover is believed, so that
 * one that is cut off and tells old news does no harm, nor one that stands still.
 *
 * `createSentinel` and `createCluster` of the library answer the same question, but only in the course of making connections
 * that they keep, and make again behind our backs, while the registry has to know which connection has said what. And they
 * ask one after the other: a Sentinel that stands still (SIGSTOP) keeps them waiting without an end, deaf to `destroy`.
 *
 * @param key In a cluster the primary of its slot is looked for.
 */
export function primaryOf(address: RedisAddress, key: string): FindPrimary {
  const { kind, nodes, tls, username, password } = address;
  switch (kind) {
    case "single":
      return () => Promise.resolve({ ...nodes[0]!, epoch: 0 });
    case "sentinel": {
      const { name, ...who } = address.sentinel!;
      const targets = nodes.map((node) => ({ ...node, tls, ...who }));
      return (signal) => newest(targets, signal, (client) => askSentinel(client, name));
    }
    case "cluster": {
      const targets = nodes.map((node) => ({ ...node, tls, username, password }));
      return (signal) => newest(targets, signal, (client, { host }) => askNode(client, key, host));
    }
  }
}

async function askSentinel(client: Client, name: string): Promise<Primary> {
  // in this order: during a failover the address of the first answer is still the old one, its epoch the new one
  const master = await client.sendCommand<Record<string, string>>(["SENTINEL", "MASTER", name]);
  const [host, port] = await client.sendCommand<[string, string]>([
    "SENTINEL",
    "GET-MASTER-ADDR-BY-NAME",
    name,
  ]);
  return { host, port: Number(port), epoch: Number(master["config-epoch"]) };
}

/** @param asked The host of the node that is asked. */
async function askNode(client: Client, key: string, asked: string): Promise<Primary> {
  const [slot, info, shards] = await Promise.all([
    client.clusterKeySlot(key),
    client.clusterInfo(),
    client.clusterSlots(),
  ]);
  const shard = shards.find(({ from, to }) => from <= slot && slot <= to);
  if (!shard || !info.includes("cluster_state:ok")) throw new Error("the cluster is down");
  const { host, port } = shard.master;
  if (host === "?") {
    throw new RedisSetupError(
      `it does not know the name of the node at port ${port}`,
      "set cluster-announce-hostname on every node, or cluster-preferred-endpoint-type ip",
    );
  }
  // without a host it is to be reached as the node that was asked is: so says CLUSTER SLOTS
  return { host: host || asked, port, epoch: Number(info.match(/cluster_current_epoch:(\d+)/)?.[1]) };
}

/** Asks all, and waits a moment for better news when the first has answered. */
function newest(
  targets: Target[],
  signal: AbortSignal,
  ask: (client: Client, target: Target) => Promise<Primary>,
): Promise<Primary> {
  const answers: Primary[] = [], failures: Failure[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Primary>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const decide = () => {
    if (answers.length > 0) return resolve(answers.reduce((a, b) => b.epoch > a.epoch ? b : a));
    reject(nobodyKnows(failures));
  };
  const clients = targets.map((target) => {
    const client = newClient(target);
    const answer = client.connect().then(() => ask(client, target));
    withDeadline(answer, CONNECT_TIMEOUT_MS, "no answer").then((primary) => {
      answers.push(primary);
      timer ??= setTimeout(decide, SECOND_OPINION_MS);
    }, (error) => {
      failures.push({ target, error: setupError(error, target.host, target.tls, "single") });
    }).then(() => {
      if (answers.length + failures.length === targets.length) decide();
    });
    return client;
  });
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  return promise.finally(() => {
    signal.removeEventListener("abort", abort);
    clearTimeout(timer);
    for (const client of clients) endClient(client);
  });
}

interface Failure {
  target: Target;
  error: unknown;
}

/** What each of them has said, and once what to do where that is known of all. */
function nobodyKnows(failures: Failure[]): Error {
  const setups = failures.map(({ error }) => error).filter((error) => error instanceof RedisSetupError);
  const advice = [...new Set(setups.map((error) => error.advice))].join("; ");
  const said = failures.map(({ target: { host, port }, error }) =>
    `${addressText(host, port)}: ${error instanceof RedisSetupError ? error.problem : messageOf(error)}`
  );
  const problem = `nobody knows the primary: ${said.join("; ")}`;
  if (setups.length === failures.length) return new RedisSetupError(problem, advice);
  return new Error(advice ? `${problem}; ${advice}` : problem);
}
