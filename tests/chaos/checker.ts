/**
 * Judges a history by the six promises. Pure: the same history gives the same verdict.
 *
 * Wherever a stamp is uncertain, the promise gets the benefit of the doubt; what is reported has happened.
 */

import { Case, type CheckerOptions, ms, RENEWAL, REPLACED, RESOLUTION_MS, type Violation } from "./case.ts";
import { effectsOf } from "./faults.ts";
import type { Event } from "./history.ts";
import { judgeShortFaults, judgeZombies } from "./leases.ts";
import { type Connection, goneAt, Model, name, reads } from "./model.ts";

export interface Verdict {
  violations: Violation[];
  /** Times in which two sessions seemed to overlap for less than the stamps can tell, and the longest of them. */
  withinResolution: { count: number; maxMs: number };
  /** PINGs and PONGs that a server's platform sent after the end of its lease, before the server itself ran again. */
  lateHeartbeats: number;
  /** Impostors that were told so. */
  turnedAway: number;
}

/** How long after its socket's end a session may be listed while all is quiet, on top of that. */
const AT_ONCE_MS = 200;

/** How long a peer has to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;

/** After this nobody comes by himself in a quiet time. */
const CALM_MS = 150;

/** Descriptors that come and go by themselves. */
export const SPARE_DESCRIPTORS = 3;

/** What an impostor may be answered: not proven, not yours, or that the server takes nobody at all. */
const TURNED_AWAY = [401, 403, 503];

export function check(events: readonly Event[], options: CheckerOptions): Verdict {
  const checker = new Checker(new Case(new Model(events), options));
  checker.run();
  const { withinResolution, lateHeartbeats, turnedAway } = checker;
  const violations = checker.trial.violations.toSorted((a, b) => a.at - b.at);
  return { violations, withinResolution, lateHeartbeats, turnedAway };
}

class Checker {
  readonly withinResolution = { count: 0, maxMs: 0 };
  lateHeartbeats = 0;
  turnedAway = 0;
  readonly #byClient: Map<string, Connection[]>;
  readonly #bySession = new Map<string, Connection>();
  readonly model: Model;
  readonly leaseMs: number;

  constructor(readonly trial: Case) {
    const { model, leaseMs } = trial;
    this.model = model;
    this.leaseMs = leaseMs;
    // impostors are nobody: they neither have sessions nor may anyone have made way for them
    const connections = [...model.connections.values()].filter(({ habit }) => habit !== "impostor");
    this.#byClient = Map.groupBy(connections, ({ client }) => client);
    for (const connection of connections) {
      if (connection.session) this.#bySession.set(connection.session, connection);
    }
  }

  run(): void {
    for (const connections of this.#byClient.values()) {
      this.#exclusive(connections);
      this.#newestWins(connections);
    }
    for (const quiet of this.model.of("quiet")) this.#survivors(quiet);
    for (const list of this.model.of("list")) this.#ghosts(list);
    for (const connection of this.model.connections.values()) {
      this.#nobodyElses(connection);
      this.lateHeartbeats += judgeZombies(this.trial, connection);
      this.#cut(connection);
    }
    judgeShortFaults(this.trial);
    this.#leaks();
    this.#alive();
  }

  // ---- 1: at most one ---------------------------------------------------------------------------------------------

  #exclusive(connections: Connection[]): void {
    const sessions = connections.filter(({ session }) => session !== undefined)
      .sort((a, b) => a.establishedAt - b.establishedAt);
    for (const [i, newer] of sessions.entries()) {
      for (const older of sessions.slice(0, i)) {
        const gone = Math.min(...[older, newer].map((one) => this.model.earliest(one.crowd, goneAt(one))));
        const overlapMs = gone - newer.establishedAt;
        if (overlapMs > RESOLUTION_MS) this.#overlap(older, newer, overlapMs);
        else if (overlapMs > 0) {
          this.withinResolution.count++;
          this.withinResolution.maxMs = Math.max(this.withinResolution.maxMs, overlapMs);
        }
      }
    }
  }

  #overlap(older: Connection, newer: Connection, overlapMs: number): void {
    const at = newer.establishedAt;
    const stopped = this.model.isStopped(older.server, at);
    const freeFrom = this.model.lostSince(older.server, at) + this.leaseMs * (1 - RENEWAL) - RESOLUTION_MS;
    if (stopped && at >= freeFrom) return; // it stands still, and its lease has run out
    const early = stopped ? `, ${ms(freeFrom - at)} before the lease of its stopped process was over` : "";
    this.trial.violation(1, at, `${name(newer)} is established while ${name(older)} is${early}`, overlapMs);
  }

  // ---- 2: the newest survives -------------------------------------------------------------------------------------

  /**
   * Nobody is replaced but by one that may have come later. One that was never answered may have been let in, too: by a process
   * that was killed before it could say so.
   */
  #newestWins(connections: Connection[]): void {
    for (const replaced of connections) {
      if (replaced.closeCode !== REPLACED) continue;
      const newer = connections.some((other) =>
        other !== replaced && other.connectAt < replaced.closeAt &&
        other.establishedAt >= replaced.connectAt &&
        (other.status === 101 || other.status === undefined)
      );
      if (!newer) {
        this.trial.violation(2, replaced.closeAt, `${name(replaced)} is replaced, and nobody came after it`);
      }
    }
  }

  #survivors(quiet: { at: number; until: number }): void {
    const lists = this.model.of("list").filter(({ at, until }) => at >= quiet.at && until <= quiet.until);
    const last = [...Map.groupBy(lists, ({ server }) => server).values()]
      .map((of) => of.findLast(({ sessions }) => sessions) ?? of.at(-1)!);
    const reference = last[0];
    for (const { sessions, server, until } of last) {
      const same = sessions && reference?.sessions && sameSessions(sessions, reference.sessions);
      if (!same) {
        this.trial.violation(
          3,
          until,
          `in a quiet time server ${server} lists other sessions than ${reference?.server}`,
        );
      }
    }
    const listed = new Map(reference?.sessions?.map(({ client, session }) => [client, session]));
    for (const [client, connections] of this.#byClient) {
      const present = connections.filter((connection) =>
        connection.status === 101 && connection.answerAt < quiet.until && reads(connection) &&
        goneAt(connection) > quiet.at && connection.leaveAt > quiet.until
      );
      const open = present.filter((connection) => goneAt(connection) > quiet.until);
      const established = open.filter(({ establishedAt }) => establishedAt < quiet.until);
      for (const waiting of open) {
        if (waiting.establishedAt > quiet.until) {
          this.trial.violation(2, quiet.until, `${name(waiting)} still waits after a quiet time`);
        }
      }
      if (established.length > 1) {
        this.trial.violation(2, quiet.until, `${established.map(name).join(" and ")} have survived`);
      }
      // all that is older may have made way for one that has left since
      const fresh = present.filter(({ connectAt }) => connectAt > quiet.at + CALM_MS);
      if (open.length === 0 && fresh.some(({ closeCode }) => closeCode === REPLACED)) {
        this.trial.violation(2, quiet.until, `nobody has survived of ${fresh.map(name).join(", ")}`);
      }
      const [survivor] = established;
      if (survivor && listed.get(client) !== survivor.session) {
        this.trial.violation(
          3,
          quiet.until,
          `${name(survivor)} is not listed after a quiet time, but ${listed.get(client)}`,
        );
      }
    }
  }

  // ---- 3: no ghosts -----------------------------------------------------------------------------------------------

  #ghosts({ at, until, server, sessions = [] }: Extract<Event, { kind: "list" }>): void {
    if (new Set(sessions.map(({ client }) => client)).size < sessions.length) {
      this.trial.violation(3, at, `server ${server} lists a client twice`);
    }
    const graceMs = this.leaseMs + this.trial.slackMs;
    const quiet = this.model.of("quiet").find((quiet) => quiet.at <= at && at <= quiet.until);
    const lossAt =
      this.model.faults.findLast((fault) => fault.at <= at && effectsOf(fault).bringsBack)?.until ??
        -Infinity;
    for (const { client, session } of sessions) {
      const connection = this.#bySession.get(session);
      if (!connection) {
        const unread = this.#byClient.get(client)?.some((other) =>
          other.session === undefined && other.connectAt <= until &&
          Math.min(other.endAt, other.leaveAt) >= at - graceMs
        );
        if (!unread && lossAt + graceMs < at) {
          this.trial.violation(3, at, `server ${server} lists ${client} ${session}, which nobody has had`);
        }
        continue;
      }
      const gone = goneAt(connection);
      const late = this.model.lastLateArrival(connection.server, gone, at);
      // late words may have given a server another lease; one that lives ends it when it is in touch again
      const mute = this.model.wasKilled(connection.server, gone - graceMs, at) ||
        this.model.lostSince(connection.server, at) < at;
      // leases that are back go on when the first server has reached that Redis
      const backUntil = lossAt + graceMs + this.trial.othersMs;
      const listedUntil = Math.max(gone + graceMs, backUntil, late + (mute ? graceMs : graceMs / 2));
      if (at > listedUntil) {
        this.trial.violation(
          3,
          at,
          `server ${server} lists ${name(connection)}, ${ms(at - gone)} after it has gone`,
        );
      } else if (
        quiet && gone > quiet.at && at > this.#heldUntil(connection) + this.trial.slackMs + AT_ONCE_MS
      ) {
        this.trial.violation(
          3,
          at,
          `server ${server} lists ${name(connection)} in a quiet time, ${ms(at - gone)} after it has gone`,
        );
      }
      const span = this.model.separations(connection.server).find((span) => span.at < at && at < span.until);
      if (
        span && connection.connectAt < span.at && at > span.at + graceMs && lossAt < span.at &&
        this.model.lastLateArrival(connection.server, span.at, at) === span.at
      ) {
        this.trial.violation(
          3,
          at,
          `server ${server} lists ${name(connection)}, ${
            ms(at - span.at)
          } after its server was last in touch`,
        );
      }
    }
  }

  /** Until when a session whose client was told to go is held: where the answer is the only evidence, until it is cut. */
  #heldUntil(connection: Connection): number {
    const { habit, closeAt, endAt, leaveAt } = connection;
    return this.trial.transport === "deno" && habit === "mute"
      ? Math.min(endAt, leaveAt, closeAt + CLOSE_TIMEOUT_MS)
      : goneAt(connection);
  }

  // ---- 5: no leaks ------------------------------------------------------------------------------------------------

  #cut(connection: Connection): void {
    const { closeAt, endAt, leaveAt, habit, server } = connection;
    if (habit !== "mute" || closeAt === Infinity) return;
    const deadline = closeAt + CLOSE_TIMEOUT_MS + this.trial.slackMs + this.trial.othersMs;
    if (this.model.stopsOf(server).some((stop) => stop.at < deadline && stop.until > closeAt)) return;
    const over = Math.min(this.model.earliest(connection.crowd, endAt), leaveAt);
    if (over > deadline) {
      this.trial.violation(
        5,
        deadline,
        `${name(connection)} is cut ${ms(endAt - closeAt)} after the close frame`,
      );
    }
  }

  #leaks(): void {
    for (const { at, server, open, expected, lost } of this.model.of("descriptors")) {
      const left = open - expected - lost;
      if (left > SPARE_DESCRIPTORS) {
        this.trial.violation(5, at, `server ${server} has ${left} descriptors left over`);
      }
    }
  }

  // ---- 6: nobody else's -------------------------------------------------------------------------------------------

  #nobodyElses(connection: Connection): void {
    const { habit, status, answerAt, frames } = connection;
    if (habit !== "impostor" || status === undefined) return;
    if (status < 500) this.turnedAway++;
    if (TURNED_AWAY.includes(status) && frames.length === 0) return;
    this.trial.violation(6, answerAt, `the impostor ${name(connection)} is answered ${status}`);
  }

  // ---- 0: it lives ------------------------------------------------------------------------------------------------

  #alive(): void {
    for (const { at, server, status } of this.model.of("unready")) {
      this.trial.violation(0, at, `server ${server} is not ready again: /readyz ${status}`);
    }
    for (const { at, server, code, lastWords } of this.model.of("crash")) {
      this.trial.violation(0, at, `server ${server} ended by itself with ${code}: ${lastWords}`);
    }
  }
}

function sameSessions(a: { client: string; session: string }[], b: typeof a): boolean {
  const lines = (sessions: typeof a) =>
    sessions.map(({ client, session }) => `${client} ${session}`).sort().join("\n");
  return lines(a) === lines(b);
}
