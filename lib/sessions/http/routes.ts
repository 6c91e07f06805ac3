/** Which request is answered by what. */

import { wantsUpgrade } from "../transport/handshake.ts";
import { text } from "../transport/text.ts";
import {
  accept,
  type ConnectionListener,
  type IncomingRequest,
  type RequestInfo,
  type Upgrade,
} from "../transport/transport.ts";
import { type Admission, admit, type ProcessState, type RefusalReason } from "./connect.ts";
import { healthz, readyz } from "./health.ts";
import type { Page } from "./page.ts";
import type { SessionList } from "./sessions.ts";

export interface RoutesOptions {
  /** The state of the process now. */
  state: () => ProcessState;
  sessions: SessionList;
  /** What a browser is shown at `/`. */
  page: Page | undefined;
  /** For `/metrics`. */
  scrape: () => Promise<{ text: string; contentType: string }>;
  /** A client is about to connect. */
  connect: (admission: Admission) => ConnectionListener;
  onRefused: (reason: RefusalReason) => void;
}

type Answer = Response | Upgrade | Promise<Response>;

/** The handler of all requests of a server. */
export class Routes {
  readonly #options: RoutesOptions;
  readonly #routes: Record<string, (request: IncomingRequest, url: URL, info: RequestInfo) => Answer>;

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#routes = Object.assign(Object.create(null), { // a path named like a property of objects is no path
      "/": (request: IncomingRequest, url: URL) => this.#connect(request, url),
      "/sessions": (request: IncomingRequest, _url: URL, info: RequestInfo) =>
        options.sessions.answer(request, info, options.state()),
      "/healthz": () => healthz(),
      "/readyz": () => readyz(options.state()),
      "/metrics": () => this.#metrics(),
    });
  }

  answer(request: IncomingRequest, info: RequestInfo): Answer {
    let url: URL;
    try {
      url = new URL(request.url);
    } catch {
      return text(400, "the Host header is not a host name");
    }
    const page = this.#options.page?.answer(request, url.pathname);
    if (page) return page;
    const route = this.#routes[url.pathname];
    if (!route) return text(404, `no such path; there are ${Object.keys(this.#routes).join(", ")}`);
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "only GET and HEAD are known here", { allow: "GET, HEAD" });
    }
    return route(request, url, info);
  }

  #connect(request: IncomingRequest, url: URL): Response | Upgrade {
    if (!wantsUpgrade(request)) {
      return text(426, "connect with a WebSocket: ws://<host>/?client_id=<text>", { upgrade: "websocket" });
    }
    const decision = admit(request, url, this.#options.state());
    if ("clientId" in decision) return accept(this.#options.connect(decision));
    this.#options.onRefused(decision.reason);
    return decision.response;
  }

  async #metrics(): Promise<Response> {
    const { text: body, contentType } = await this.#options.scrape();
    return new Response(body, { headers: { "content-type": contentType } });
  }
}
