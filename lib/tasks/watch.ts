/** The side of a tasks-server that machines look at: metrics and health over HTTP, on an address of its own. */

import { messageOf } from "../service/errors.ts";
import type { ListenAddress } from "../service/flags.ts";
import { getLogger } from "../service/log.ts";
import type { TasksMetrics } from "./metrics.ts";
import type { TasksServer } from "./server.ts";

const log = getLogger(["solo", "tasks", "watch"]);

/** How long to wait before serving again when the platform has given up, as it does at the descriptor limit. */
const RETRY_MS = 1000;

/** The paths, as a client is told. */
const PATHS = "/metrics, /healthz, /readyz";

/**
 * Answers `/metrics`, `/healthz` and `/readyz` until it is disposed.
 *
 * For an address that only operators reach: the platform has no time limit for half a request.
 */
export class Watch implements AsyncDisposable {
  readonly #server: TasksServer;
  readonly #metrics: TasksMetrics;
  #http: Deno.HttpServer<Deno.NetAddr>;
  readonly #served: Promise<void>;
  #closing = false;

  /**
   * Starts to serve.
   *
   * @throws the error of `Deno.serve` where it cannot listen.
   */
  constructor({ hostname, port }: ListenAddress, server: TasksServer, metrics: TasksMetrics) {
    this.#server = server;
    this.#metrics = metrics;
    this.#http = this.#listen(hostname, port);
    this.#served = this.#serve(hostname, this.#http.addr.port);
  }

  /** Where it listens, as `host:port`. */
  get address(): string {
    const { hostname, port } = this.#http.addr;
    return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  }

  /** Stops to listen; requests that are being answered get their answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    await this.#http.shutdown();
    await this.#served;
  }

  #listen(hostname: string, port: number): Deno.HttpServer<Deno.NetAddr> {
    return Deno.serve({ hostname, port, onListen: () => {} }, (request) => this.#answer(request));
  }

  /** Serves on when the platform gives up: `finished` rejects at the descriptor limit (Deno 2.9.6). */
  async #serve(hostname: string, port: number): Promise<void> {
    for (;;) {
      try {
        await this.#http.finished;
        return;
      } catch (error) {
        log.error("metrics are not served for a while: {error}", { error: messageOf(error) });
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      if (this.#closing) return;
      try {
        this.#http = this.#listen(hostname, port);
      } catch {
        // its `finished` rejects again, which brings us here once more
      }
    }
  }

  async #answer(request: Request): Promise<Response> {
    if (!URL.canParse(request.url)) return text(400, "the Host header is no host"); // a bad one is part of it
    const answer = this.#routeOf(new URL(request.url).pathname);
    if (answer === undefined) return text(404, `no such path; there are ${PATHS}`);
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "only GET and HEAD are known here", { allow: "GET, HEAD" });
    }
    return await answer();
  }

  #routeOf(path: string): (() => Response | Promise<Response>) | undefined {
    switch (path) {
      case "/metrics":
        return () => this.#scrape();
      case "/healthz":
        return () => text(200, "alive");
      case "/readyz":
        return () => this.#server.isReady ? text(200, "ready") : text(503, "full or stopping");
    }
  }

  async #scrape(): Promise<Response> {
    const { text, contentType } = await this.#metrics.scrape();
    return new Response(text, { headers: { "content-type": contentType } });
  }
}

function text(status: number, line: string, headers: Record<string, string> = {}): Response {
  return new Response(`${line}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
