/** One chaos run: a cluster, clients, faults after a plan, and the history of it all. */

import { setTimeout as delay } from "node:timers/promises";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { SPARE_DESCRIPTORS } from "./checker.ts";
import { CrowdProcess } from "./crowd_process.ts";
import type { Event, ListedSession } from "./history.ts";
import { Nemesis } from "./nemesis.ts";
import { planRounds, QUIET_LEASES, type Topology } from "./plan.ts";
import type { Sabotage } from "./sabotage.ts";
import { type Node, now, Subject } from "./subject.ts";

export interface RunOptions {
  seed: string;
  durationMs: number;
  leaseMs: number;
  servers: number;
  transport: TransportName;
  /** Connections that are tried for at a time. */
  visitors: number;
  /** How many `client_id`s they share. */
  clients: number;
  /** @default "single" */
  topology?: Topology;
  /** What the servers are without. @default nothing */
  sabotage?: Sabotage;
  /** Told at the end of each round. */
  onRound?: (text: string) => void;
}

/** Each has its own share of the clients. */
const CROWDS = 2;

const LIST_EVERY_MS = 250;

/** How long after the last fault every server must be ready again; the rest is for a start on a busy machine. */
const READY_LEASES = 2;
const READY_SLACK_MS = 60_000;

/** Between the last visitor of his own accord and a storm. */
const SETTLE_MS = 300;

/**
 * How long to wait for the descriptors of those who left: a frozen peer's is cut after 2 s, it takes 15 s until a server
 * counts those that the platform has lost, and the rest is for a busy machine.
 */
const CLOSE_MS = 60_000;

export async function run(options: RunOptions): Promise<Event[]> {
  const { leaseMs, servers, transport, topology = "single", sabotage, onRound } = options;
  const events: Event[] = [];
  const record = (event: Event) => void events.push(event);
  await using subject = await Subject.start({ servers, leaseMs, transport, topology, sabotage, record });
  await using crowds = new Crowds(options, subject, record);
  const nemesis = new Nemesis(subject, crowds.processes, record);
  const stop = new AbortController();
  const polls = Promise.all(subject.nodes.map((node) => pollLists(node, stop.signal, record)));
  try {
    await delay(leaseMs / 5); // a Redis without any memory has a moment of grace
    const rounds = planRounds({ ...options, topology, crowds: CROWDS });
    for (const [i, faults] of rounds.entries()) {
      await crowds.say("go");
      await nemesis.round(faults);
      await Promise.all(subject.nodes.map((node) => becomesReady(node, leaseMs, record)));
      const at = now();
      await crowds.say("calm");
      await delay(SETTLE_MS);
      await crowds.say("storm");
      await delay(QUIET_LEASES * leaseMs);
      await Promise.all(subject.nodes.map((node) => listed(node, record)));
      record({ kind: "quiet", at, until: now() });
      onRound?.(
        `round ${i + 1} of ${rounds.length}: ${
          faults.map(({ fault, target }) => fault + (target ?? "")).join(", ")
        }`,
      );
    }
    await crowds.leave();
  } finally {
    stop.abort();
    await polls;
  }
  if (!sabotage) await Promise.all(subject.nodes.map((node) => countDescriptors(node, record)));
  return events;
}

/** All processes of clients. */
class Crowds implements AsyncDisposable {
  readonly processes: CrowdProcess[];

  constructor({ seed, visitors, clients }: RunOptions, subject: Subject, record: (event: Event) => void) {
    const ports = subject.nodes.map(({ port }) => port);
    const ids = Array.from({ length: clients }, (_, i) => `client-${i}`);
    this.processes = Array.from({ length: CROWDS }, (_, crowd) =>
      new CrowdProcess({
        crowd,
        seed,
        ports,
        clients: ids.filter((_, i) => i % CROWDS === crowd),
        secret: subject.secret,
        visitors: Math.ceil(visitors / CROWDS),
      }, record));
  }

  async say(command: "calm" | "storm" | "go"): Promise<void> {
    await Promise.all(this.processes.map((process) => process.say(command)));
  }

  async leave(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.leave()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.processes.map((process) => process[Symbol.asyncDispose]()));
  }
}

async function countDescriptors(node: Node, record: (event: Event) => void): Promise<void> {
  const end = performance.now() + CLOSE_MS;
  for (;;) {
    const { open, lost } = await node.descriptors();
    if (open - lost <= node.idleDescriptors + SPARE_DESCRIPTORS || performance.now() > end) {
      return record({
        kind: "descriptors",
        at: now(),
        server: node.index,
        open,
        lost,
        expected: node.idleDescriptors,
      });
    }
    await delay(500);
  }
}

async function pollLists(node: Node, signal: AbortSignal, record: (event: Event) => void): Promise<void> {
  while (!signal.aborted) {
    await list(node, record);
    await delay(LIST_EVERY_MS);
  }
}

/** Asks a server for its list until it has one: on a busy machine that may take longer than it waits for Redis. */
async function listed(node: Node, record: (event: Event) => void): Promise<void> {
  const end = performance.now() + READY_SLACK_MS;
  while (!await list(node, record) && performance.now() < end) await delay(LIST_EVERY_MS);
}

/** Asks a server for its list; one that does not answer leaves nothing in the history. @returns whether it has one. */
async function list({ port, index }: Node, record: (event: Event) => void): Promise<boolean> {
  const at = now();
  try {
    const response = await fetch(`http://127.0.0.1:${port}/sessions`, { signal: AbortSignal.timeout(2_000) });
    const body = await response.text();
    const sessions = response.ok ? body.split("\n").filter(Boolean).map(parseLine) : undefined;
    record({ kind: "list", at, until: now(), server: index, sessions });
    return sessions !== undefined;
  } catch {
    return false; // it is dead, or stands still
  }
}

function parseLine(line: string): ListedSession {
  const space = line.lastIndexOf(" ");
  return { client: line.slice(0, space), session: line.slice(space + 1) };
}

async function becomesReady(node: Node, leaseMs: number, record: (event: Event) => void): Promise<void> {
  const end = performance.now() + READY_LEASES * leaseMs + READY_SLACK_MS;
  for (;;) {
    const status = await node.readiness();
    if (status === 200) return;
    if (performance.now() > end) return record({ kind: "unready", at: now(), server: node.index, status });
    await delay(50);
  }
}
