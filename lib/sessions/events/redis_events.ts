import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../service/errors.ts";
import { getLogger } from "../../service/log.ts";
import type { SessionChange } from "../session_entry.ts";
import type { EventSource, FollowItem, RawEvent, SessionEvent, SessionEvents } from "./events.ts";
import { EventReader } from "./redis_event_reader.ts";

const log = getLogger(["solo", "events"]);

/** How many events are read at once. */
const BATCH = 1000;

/** The wait before a new connection is tried. */
const RETRY_MS = 250;

/** The events of a cluster: a stream in Redis, read by a process only while it has a follower. */
export class RedisEvents implements SessionEvents {
  readonly #source: EventSource;

  constructor(source: EventSource) {
    this.#source = source;
  }

  async *follow(signal: AbortSignal): AsyncGenerator<FollowItem> {
    const state: FollowState = { position: undefined, settling: undefined, lost: false };
    while (!signal.aborted) {
      const reader = new EventReader(this.#source);
      const close = () => reader.close();
      signal.addEventListener("abort", close, { once: true });
      try {
        await reader.connected();
        yield* this.#read(reader, state, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.debug("events not read: {error}", { error: messageOf(error) });
        if (!state.lost) yield { kind: "lost" };
        state.lost = true;
      } finally {
        signal.removeEventListener("abort", close);
        await reader.close();
      }
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async between(after: string, upTo: string): Promise<SessionEvent[] | undefined> {
    if (!isId(after)) return undefined;
    const events: RawEvent[] = [];
    for (let last = after; last !== upTo;) {
      const [first, ...more] = await this.#source.range(last, upTo, BATCH + 1);
      if (first?.[0] !== last) return undefined; // it was not there, or is no longer
      if (more.length === 0) break;
      events.push(...more);
      last = more.at(-1)![0];
    }
    return events.some(isReset) ? undefined : parse(events);
  }

  /** Reads on from a position, or looks for a new one, until the connection fails. */
  async *#read(reader: EventReader, state: FollowState, signal: AbortSignal): AsyncGenerator<FollowItem> {
    if (state.position !== undefined && !await reader.has(state.position)) {
      state.position = undefined;
      // Redis may have come back without its data; a listing would show next to nothing until it is complete again.
      state.settling = this.#waitUntilSettled();
    }
    while (!signal.aborted) {
      if (state.settling?.done || (state.position === undefined && !state.settling)) {
        state.position = await reader.lastId();
        state.settling = undefined;
        state.lost = false;
        yield { kind: "position", id: state.position };
      }
      if (state.position === undefined) {
        await delay(RETRY_MS, undefined, { signal });
        continue;
      }
      const batch = await reader.read(state.position, BATCH);
      // where there is more than one reading holds, the history may have been cut behind us
      if (batch.length === BATCH && !await reader.has(state.position)) {
        state.position = undefined;
        continue;
      }
      state.position = batch.at(-1)?.[0] ?? state.position;
      if (batch.some(isReset)) state.settling = this.#waitUntilSettled();
      if (batch.length > 0 || state.lost) yield { kind: "events", events: parse(batch) };
      state.lost = false;
    }
  }

  #waitUntilSettled(): { done: boolean } {
    const waiting = { done: false };
    this.#source.settled().then(() => waiting.done = true);
    return waiting;
  }
}

interface FollowState {
  /** The id of the last event that was read; `undefined` where it is not in the history any more. */
  position: string | undefined;
  /** While data that was lost is put back. */
  settling: { done: boolean } | undefined;
  /** Whether the follower has been told that the store does not answer. */
  lost: boolean;
}

function isId(text: string): boolean {
  return /^\d{1,15}-\d{1,15}$/.test(text);
}

function isReset([, text]: RawEvent): boolean {
  return text === "reset";
}

/** Events as `note_session` in lua/line.lua writes them; the client_id comes last because it may hold spaces. */
function parse(raw: RawEvent[]): SessionEvent[] {
  const events: SessionEvent[] = [];
  for (const [id, text] of raw) {
    const words = text.match(/^(opened|replaced|closed) (\S+) (\S+) (\d+) (\d+) ([^]+)$/);
    if (!words) continue; // a reset, or another version's event
    const [, kind, sessionId, node, epoch, at, clientId] = words as unknown as [
      string,
      SessionChange,
      ...string[],
    ];
    events.push({
      id,
      kind,
      session: {
        clientId: clientId!,
        sessionId: sessionId!,
        node: node!,
        epoch: Number(epoch),
        connectedAtMs: Number(at),
      },
    });
  }
  return events;
}
