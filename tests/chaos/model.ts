/** A history as the checker reads it: connections, sessions, and when which server was out of touch. */

import { letsThrough, separation } from "./faults.ts";
import type { Event, FaultEvent, Habit } from "./history.ts";

/** One connection, from the events about it. Times that never came are `Infinity`. */
export interface Connection {
  conn: string;
  crowd: number;
  client: string;
  server: number;
  habit: Habit;
  connectAt: number;
  status: number | undefined;
  /** When the answer was read. */
  answerAt: number;
  session: string | undefined;
  /** When the session_id was read. */
  establishedAt: number;
  closeCode: number | undefined;
  closeAt: number;
  /** When the end that the server made was seen. */
  endAt: number;
  leaveAt: number;
  /** Control frames and texts, in order. */
  frames: { at: number; opcode: number; code?: number }[];
}

/** When, as far as can be seen from outside, its client was no longer told to be the session. */
export function goneAt({ closeAt, endAt, leaveAt }: Connection): number {
  return Math.min(closeAt, endAt, leaveAt);
}

/** Whether what it is sent is seen. */
export function reads({ habit }: Connection): boolean {
  return habit !== "frozen" && habit !== "resets-early";
}

/** For who reads the verdict. */
export function name({ client, conn, server, habit }: Connection): string {
  return `${client}/${conn}@${server}(${habit})`;
}

export class Model {
  readonly connections: Map<string, Connection> = new Map();
  readonly faults: FaultEvent[];
  readonly #byKind: Map<Event["kind"], Event[]>;
  readonly #lags = new Map<number, { at: number; until: number }[]>();

  constructor(readonly events: readonly Event[]) {
    this.#byKind = Map.groupBy(events, ({ kind }) => kind);
    this.faults = this.of("fault").toSorted((a, b) => a.at - b.at);
    for (const event of events) this.#take(event);
    for (const [crowd, lags] of this.#lags) this.#lags.set(crowd, merge(lags));
  }

  of<K extends Event["kind"]>(kind: K): Extract<Event, { kind: K }>[] {
    return (this.#byKind.get(kind) ?? []) as Extract<Event, { kind: K }>[];
  }

  /** The earliest moment at which something may have arrived that was stamped `at` by a process of clients. */
  earliest(crowd: number, at: number): number {
    const lags = this.#lags.get(crowd) ?? [];
    let low = 0, high = lags.length; // the last lag that began before
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lags[middle]!.at <= at) low = middle + 1;
      else high = middle;
    }
    const lag = lags[low - 1];
    return lag && at <= lag.until + AFTER_LAG_MS ? lag.at : at;
  }

  /** The longest time for which a process of clients had to stand still, though nobody had stopped it. */
  get longestLagMs(): number {
    const stops = this.faults.filter(({ fault }) => fault === "clients-stop");
    const lags = [...this.#lags.values()].flat()
      .filter((lag) => !stops.some((stop) => stop.at <= lag.until && lag.at <= stop.until));
    return Math.max(0, ...lags.map(({ at, until }) => until - at));
  }

  /** Whether a server stood still at this moment. */
  isStopped(server: number, at: number): boolean {
    return this.stopsOf(server).some((stop) => stop.at <= at && at <= stop.until);
  }

  stopsOf(server: number): FaultEvent[] {
    return this.faults.filter(({ fault, target }) => fault === "stop" && target === server);
  }

  /** Since when a server has been out of touch with Redis without a break, as far as it is known; `at` when it is not. */
  lostSince(server: number, at: number): number {
    let since = at;
    for (let moved = true; moved;) {
      moved = false;
      for (const fault of this.faults) {
        const span = separation(fault, server);
        if (!span || span.at >= since || span.until < since) continue;
        since = span.at;
        moved = true;
      }
    }
    return since;
  }

  /** The whole times in which a server was out of touch with Redis, overlapping faults taken as one. */
  separations(server: number): { at: number; until: number }[] {
    const spans: { at: number; until: number }[] = [];
    const separations = this.faults.map((fault) => separation(fault, server)).filter((span) =>
      span !== undefined
    );
    for (const { at, until } of separations.toSorted((a, b) => a.at - b.at)) {
      const last = spans.at(-1);
      if (last && at <= last.until) last.until = Math.max(last.until, until);
      else spans.push({ at, until });
    }
    return spans;
  }

  /** When something that was on its way may last have renewed the lease of a server in this span; `from` for never. */
  lastLateArrival(server: number, from: number, until: number): number {
    const ends = this.faults.filter((fault) => letsThrough(fault, server)).map((fault) => fault.until);
    return Math.max(from, ...ends.filter((end) => end <= until));
  }

  wasKilled(server: number, from: number, until: number): boolean {
    return this.faults.some(({ fault, target, at }) =>
      fault === "kill" && target === server && at >= from && at <= until
    );
  }

  #take(event: Event): void {
    if (event.kind === "lag") {
      const lags = this.#lags.get(event.crowd) ?? [];
      lags.push(event);
      this.#lags.set(event.crowd, lags);
      return;
    }
    if (event.kind === "connect") {
      const { conn, client, server, habit } = event;
      this.connections.set(conn, {
        conn,
        crowd: Number(conn.split(":")[0]),
        client,
        server,
        habit,
        connectAt: event.at,
        status: undefined,
        answerAt: Infinity,
        session: undefined,
        establishedAt: Infinity,
        closeCode: undefined,
        closeAt: Infinity,
        endAt: Infinity,
        leaveAt: Infinity,
        frames: [],
      });
      return;
    }
    if (!("conn" in event)) return;
    const connection = this.connections.get(event.conn)!;
    switch (event.kind) {
      case "answer":
        connection.status = event.status;
        connection.answerAt = event.at;
        break;
      case "frame":
        connection.frames.push(event);
        if (event.text !== undefined && connection.session === undefined) {
          connection.session = event.text;
          connection.establishedAt = event.at;
        }
        if (event.code !== undefined && connection.closeCode === undefined) {
          connection.closeCode = event.code;
          connection.closeAt = event.at;
        }
        break;
      case "end":
        connection.endAt = Math.min(connection.endAt, event.at);
        break;
      case "leave":
        connection.leaveAt = Math.min(connection.leaveAt, event.at);
    }
  }
}

/** After a lag it takes a moment until all that has arrived meanwhile is read; one that follows so soon is the same. */
const AFTER_LAG_MS = 20;

function merge(lags: { at: number; until: number }[]): { at: number; until: number }[] {
  const merged: { at: number; until: number }[] = [];
  for (const { at, until } of lags.toSorted((a, b) => a.at - b.at)) {
    const last = merged.at(-1);
    if (last && at <= last.until + AFTER_LAG_MS) last.until = until;
    else merged.push({ at, until });
  }
  return merged;
}
