/** Which request is answered by what. */

import { atMostEvery } from "../../service/at_most_every.ts";
import type { Scrape } from "../../service/metrics.ts";
import { wantsUpgrade } from "../transport/handshake.ts";
import { text, withResponseHeaders } from "../transport/text.ts";
import { type IncomingRequest, type RequestInfo, Upgrade } from "../transport/transport.ts";
import type { Access, Refusal } from "./access/access.ts";
import { type Entrance, type ProcessState, type RefusalReason, refusalResponse } from "./connect.ts";
import { healthz, readyz } from "./health.ts";
import type { Operations } from "./operations.ts";
import type { Page } from "./page.ts";
import type { SessionList } from "./sessions.ts";
import { CLIENT_SCRIPT } from "./static_file.ts";

/** How old the text of `/metrics` may be: collecting it costs milliseconds, and whoever may read it may ask often. */
const SCRAPE_PERIOD_MS = 1_000;

export interface RoutesOptions {
  access: Access;
  entrance: Entrance;
  /** The state of the process now. */
  state: () => ProcessState;
  sessions: SessionList;
  /** What operators do with one session. */
  operations: Operations;
  /** What a browser is shown at `/`. */
  page: Page | undefined;
  /** For `/metrics`. */
  scrape: () => Promise<Scrape>;
  onRefused: (reason: RefusalReason) => void;
}

type Answer = Response | Upgrade | Promise<Response | Upgrade>;
type Route = (request: IncomingRequest, info: RequestInfo) => Answer;

/** The handler of all requests of a server. */
export class Routes {
  readonly #options: RoutesOptions;
  readonly #scrape: RoutesOptions["scrape"];
  /** By path, for everybody; the page is for operators, and not among them. */
  readonly #open: Record<string, Route>;
  /** By path, for operators. */
  readonly #guarded: Record<string, Route>;

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#scrape = atMostEvery(SCRAPE_PERIOD_MS, options.scrape);
    this.#open = byPath({
      "/": (request, info) => this.#connect(request, info),
      "/client.js": (request) => CLIENT_SCRIPT.answer(request),
      "/healthz": () => healthz(),
      "/readyz": () => readyz(options.state()),
    });
    this.#guarded = byPath({
      "/sessions": (request, info) => options.sessions.answer(request, info, options.state()),
      "/metrics": () => this.#metrics(),
    });
  }

  /** @param forOperators Whether the address that the request came to serves operators, too. */
  answer(request: IncomingRequest, info: RequestInfo, forOperators: boolean): Answer {
    const refusal = this.#options.access.check(request);
    const answer = refusal ? this.#refuse(refusal) : this.#route(request, info, forOperators);
    if (answer instanceof Promise) return answer.then(finished);
    return finished(answer);
  }

  #route(request: IncomingRequest, info: RequestInfo, forOperators: boolean): Answer {
    let path: string;
    try {
      path = new URL(request.url).pathname;
    } catch {
      return text(400, "the Host header is not a host name");
    }
    const { access, operations } = this.#options;
    const page = forOperators ? this.#options.page?.answer(request, path) : undefined;
    const guarded = forOperators ? this.#guarded[path] : undefined;
    const operable = forOperators && access.operable && path.startsWith("/sessions/");
    if (page || guarded || operable) {
      const refusal = operable ? access.admitOperation(request) : access.admitOperator(request);
      if (refusal) return this.#refuse(refusal);
    }
    if (page) return page;
    const operation = operable ? operations.answer(request, path) : undefined;
    if (operation) return operation;
    const route = guarded ?? this.#open[path];
    if (!route) return text(404, `no such path; there are ${this.#paths(forOperators).join(", ")}`);
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "only GET and HEAD are known here", { allow: "GET, HEAD" });
    }
    return route(request, info);
  }

  #paths(forOperators: boolean): string[] {
    if (!forOperators) return Object.keys(this.#open);
    const operations = this.#options.access.operable ? ["/sessions/<client_id>"] : [];
    return [...Object.keys(this.#open), ...Object.keys(this.#guarded), ...operations];
  }

  #connect(request: IncomingRequest, info: RequestInfo): Answer {
    if (wantsUpgrade(request)) {
      if (request.method === "GET") return this.#options.entrance.answer(request, info);
      return text(405, "only GET can become a WebSocket", { allow: "GET" }); // RFC 6455, section 4.1
    }
    return text(426, "connect with a WebSocket: ws://<host>/?client_id=<text>", { upgrade: "websocket" });
  }

  async #metrics(): Promise<Response> {
    const { text: body, contentType } = await this.#scrape();
    return new Response(body, { headers: { "content-type": contentType, "cache-control": "no-store" } });
  }

  #refuse(refusal: Refusal): Response {
    this.#options.onRefused(refusal.reason);
    return refusalResponse(refusal);
  }
}

/** Without a prototype: a path named like a property of objects is no path. */
function byPath(routes: Record<string, Route>): Record<string, Route> {
  return Object.assign(Object.create(null), routes);
}

function finished(answer: Response | Upgrade): Response | Upgrade {
  return answer instanceof Upgrade ? answer : withResponseHeaders(answer);
}
