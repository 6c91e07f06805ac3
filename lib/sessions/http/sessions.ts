/** `GET /sessions`: who is connected, as text, as JSON, or as a stream of what becomes of it. */

import { EventStream } from "../events/event_stream.ts";
import type { SessionEvents } from "../events/events.ts";
import { RegistryUnreachableError, type SessionRegistry } from "../registry/registry.ts";
import { text } from "../transport/text.ts";
import type { IncomingRequest, RequestInfo } from "../transport/transport.ts";
import { preferred } from "./accepts.ts";
import { type ProcessState, RETRY_AFTER_S } from "./connect.ts";
import { JSON_LISTING, type ListingFormat, listingStream, TEXT_LISTING } from "./listing.ts";

/** Readers of events that a process serves at most, and of one address: a reader costs a descriptor while it stays. */
const MAX_READERS = 64;
const MAX_READERS_OF_ADDRESS = 16;

const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no", // nginx would collect events
  vary: "accept",
};

export interface SessionListOptions {
  registry: SessionRegistry;
  events: SessionEvents;
  /** A reader of the events was too slow. */
  onReaderCut: () => void;
}

/** Answers for `/sessions`, and the readers of its events. */
export class SessionList {
  readonly #registry: SessionRegistry;
  readonly #stream: EventStream;
  readonly #places = new Places();

  constructor({ registry, events, onReaderCut }: SessionListOptions) {
    this.#registry = registry;
    this.#stream = new EventStream({ list: () => registry.list(), events, onCut: onReaderCut });
  }

  /** Who reads the events now. */
  get readers(): number {
    return this.#stream.readers;
  }

  /** Ends all streams of events. */
  end(): void {
    this.#stream.end();
  }

  answer(request: IncomingRequest, info: RequestInfo, state: ProcessState): Response | Promise<Response> {
    const type = preferred(request.headers, "Accept", "text/plain", "application/json", "text/event-stream");
    if (type === "text/event-stream") return this.#follow(request, info, state);
    return this.#list(request, type === "application/json" ? JSON_LISTING : TEXT_LISTING);
  }

  async #list({ method }: IncomingRequest, format: ListingFormat): Promise<Response> {
    const headers = { "content-type": format.contentType, "cache-control": "no-store", vary: "accept" };
    try {
      const listing = await listingStream(this.#registry.list(), format);
      if (method !== "HEAD") return new Response(listing, { headers });
      await listing.cancel();
      return new Response(null, { headers });
    } catch (error) {
      if (!(error instanceof RegistryUnreachableError)) throw error;
      return unavailable("the session registry does not answer");
    }
  }

  /** The sessions and then what becomes of them; see docs/sessions-events.md. */
  #follow({ method, headers }: IncomingRequest, info: RequestInfo, state: ProcessState): Response {
    const { remoteAddress, completed } = info;
    if (state.draining) return unavailable("this process is being stopped");
    if (state.registry === "unleased" || state.registry === "unreachable") {
      return unavailable("the session registry does not answer");
    }
    if (method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
    const place = this.#places.take(remoteAddress);
    if (typeof place === "string") return unavailable(place);
    completed.then(place, place);
    const stream = this.#stream.open(headers.get("last-event-id") ?? "", place);
    return new Response(stream, { headers: STREAM_HEADERS });
  }
}

/** Who reads the events, by address, so that one that only takes places does not take them all. */
class Places {
  readonly #taken = new Map<string, number>();
  #total = 0;

  /** @returns what gives the place back, however often it is called; a line for the reader where there is none. */
  take(address: string): (() => void) | string {
    if (this.#total >= MAX_READERS) return `this process serves ${MAX_READERS} readers already`;
    const taken = this.#taken.get(address) ?? 0;
    if (taken >= MAX_READERS_OF_ADDRESS) return `your address has ${MAX_READERS_OF_ADDRESS} readers already`;
    this.#total++;
    this.#taken.set(address, taken + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#total--;
      const left = this.#taken.get(address)! - 1;
      if (left > 0) this.#taken.set(address, left);
      else this.#taken.delete(address);
    };
  }
}

function unavailable(line: string): Response {
  return text(503, line, { "retry-after": RETRY_AFTER_S });
}
