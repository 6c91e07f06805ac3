/** `GET /sessions`: who is connected, as text, as JSON, or as a stream of what becomes of it. */

import { EventStream, MAX_READERS } from "../events/event_stream.ts";
import type { SessionEvents } from "../events/events.ts";
import { RegistryUnreachableError, type SessionRegistry } from "../registry/registry.ts";
import { text } from "../transport/text.ts";
import type { IncomingRequest, RequestInfo } from "../transport/transport.ts";
import { type ProcessState, RETRY_AFTER_S } from "./connect.ts";
import { JSON_LISTING, type ListingFormat, listingStream, TEXT_LISTING } from "./listing.ts";

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
  /** Answers with events whose connections may still be open. */
  #streaming = 0;

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
    const accept = request.headers.get("accept") ?? "";
    if (accept.includes("text/event-stream")) return this.#follow(request, info, state);
    return this.#list(request, accept.includes("application/json") ? JSON_LISTING : TEXT_LISTING);
  }

  async #list({ method }: IncomingRequest, format: ListingFormat): Promise<Response> {
    const headers = { "content-type": format.contentType, "cache-control": "no-store", vary: "accept" };
    if (method === "HEAD") return new Response(null, { headers });
    try {
      return new Response(await listingStream(this.#registry.list(), format), { headers });
    } catch (error) {
      if (!(error instanceof RegistryUnreachableError)) throw error;
      return unavailable("the session registry does not answer");
    }
  }

  /** The sessions and then what becomes of them; see docs/sessions-events.md. */
  #follow({ method, headers }: IncomingRequest, { completed }: RequestInfo, state: ProcessState): Response {
    if (method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
    if (state.draining) return unavailable("this process is being stopped");
    if (state.registry === "unleased" || state.registry === "unreachable") {
      return unavailable("the session registry does not answer");
    }
    if (this.#streaming >= MAX_READERS) {
      return unavailable(`this process serves ${MAX_READERS} readers already`);
    }
    this.#streaming++;
    const gone = () => void this.#streaming--;
    completed.then(gone, gone);
    return new Response(this.#stream.open(headers.get("last-event-id") ?? ""), { headers: STREAM_HEADERS });
  }
}

function unavailable(line: string): Response {
  return text(503, line, { "retry-after": RETRY_AFTER_S });
}
