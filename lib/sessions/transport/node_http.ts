import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { withDeadline } from "../../service/clock.ts";
import { addressText } from "../../service/address.ts";
import { messageOf } from "../../service/errors.ts";
import { getLogger } from "../../service/log.ts";
import { Attention, ticks } from "./attention.ts";
import { acceptKey, handshakeFault, isWebSocket } from "./handshake.ts";
import { listenOnEach } from "./listen_on_each.ts";
import { NodeConnection } from "./node_connection.ts";
import { text } from "./text.ts";
import {
  CLOSE_TIMEOUT_MS,
  type IncomingRequest,
  type RequestInfo,
  type Transport,
  type TransportOptions,
  Upgrade,
} from "./transport.ts";

const log = getLogger(["solo", "transport"]);

/** How long the head of a request may take, and all of it, and how often that is looked at. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
const CHECKING_INTERVAL_MS = 1_000;

/** Connections that have not been accepted yet, as the kernel keeps them. */
const BACKLOG = 511;

/** How often listeners are told to go on, see `#rearm`. */
const REARM_TICKS = ticks(1_000);

/**
 * How long the answer to a handshake may wait for the first message, to leave in one piece with it: one write less for the
 * server and one read less for the client, of a handful that a connection costs. Redis answers a claim in a millisecond or two.
 */
const HOLD_MS = 10;

/** The longest head of a request. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * As much of a body is taken after its request was answered: many clients read the answer only when they have written all, and
 * lose it when they are cut before. How long that may take, `REQUEST_TIMEOUT_MS` says.
 */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

/** So many requests may be sent at once on one connection: those that wait for their turn are kept. */
const MAX_ANSWERS = 64;

/** What a client is told whose request is none, by the code of the error. */
const CLIENT_ERRORS: Record<string, [status: number, line: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "the request was not complete in time"],
  HPE_HEADER_OVERFLOW: [431, `the head of a request is limited to ${MAX_HEADER_BYTES / 1024} KiB`],
};

/** `node:http` with WebSockets by the npm package ws. */
export class NodeTransport implements Transport {
  readonly name = "node";
  readonly lost = 0;
  readonly addresses: string[] = [];
  readonly attention: Attention;
  readonly #options: TransportOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<NodeConnection>();
  /** Those whose answer to the handshake may be held back still. */
  #held: NodeConnection[] = [];
  /** The answers that are being made on a socket, in the order of the requests: who sends several at once waits for each. */
  readonly #answers = new WeakMap<Socket, ServerResponse[]>();
  /** Sockets that have been told that theirs is no request. */
  readonly #refused = new WeakSet<Socket>();
  #port: number;

  private constructor(options: TransportOptions) {
    this.#options = options;
    this.#port = options.port;
    this.attention = new Attention({
      maxMessages: options.maxMessages,
      onAwake: options.onAwake,
      onTick: () => {
        const { tick } = this.attention;
        for (const connection of this.#connections) connection.onTick(tick);
        if (tick % REARM_TICKS === 0) this.#rearm();
      },
    });
  }

  /**
   * Listens.
   *
   * @throws {ProgramError} when it cannot listen there.
   */
  static listen(options: TransportOptions): Promise<NodeTransport> {
    const transport = new NodeTransport(options);
    return listenOnEach(transport, options, (hostname) => transport.#listenOn(hostname));
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  async close(): Promise<void> {
    this.attention[Symbol.dispose]();
    for (const connection of this.#connections) connection.terminate();
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of this.#servers) server.closeIdleConnections();
    await withDeadline(Promise.all(closed), CLOSE_TIMEOUT_MS, "answers are not sent").catch(() => {});
    for (const server of this.#servers) server.closeAllConnections();
  }

  onHeld(connection: NodeConnection): void {
    if (this.#held.push(connection) === 1) setTimeout(() => this.#flush(), HOLD_MS);
  }

  #flush(): void {
    const held = this.#held;
    this.#held = [];
    for (const connection of held) connection.flush();
  }

  onGone(connection: NodeConnection): void {
    this.#connections.delete(connection);
  }

  async #listenOn(hostname: string): Promise<void> {
    const server = createServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECKING_INTERVAL_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader: false, // the handler says what is missing
      joinDuplicateHeaders: true, // else the first of two counts, where whoever looked on the way here may have taken the last
      noDelay: true,
      // Some clients offer HTTP/2 with every request (`Upgrade: h2c`, by default in Java), and may not be taken at their word: such
      // a request is one like any other, and as an upgrade it would lose its body. The types do not know of this option yet.
      ...{ shouldUpgradeCallback: ({ headers }: IncomingMessage) => isWebSocket(headers.upgrade) },
    });
    const respond = this.#responder();
    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      response.prependOnceListener("finish", () => discardBody(request));
      const { socket } = request;
      const answers = this.#answers.get(socket) ?? [];
      const before = answers.at(-1);
      this.#answers.set(socket, answers);
      response.once("close", () => answers.shift());
      if (answers.push(response) > MAX_ANSWERS) return void socket.destroy();
      if (!before) return respond(request, response);
      // not before its turn: the platform tells nobody when a client leaves whose answer has not begun
      before.once("close", () => socket.destroyed || respond(request, response));
    };
    server.on("request", onRequest);
    server.on("checkExpectation", onRequest); // whatever a client expects, it is told what there is
    server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Uint8Array) => {
      this.#upgrade(request, socket, head).catch((error) => {
        log.error("cannot answer a request to upgrade: {error}", { error });
        answerLine(socket, 500, "internal error, see the log of the server");
      });
    });
    server.on("connect", (_request: IncomingMessage, socket: Socket) => {
      socket.on("error", ignore);
      answerLine(socket, 405, "this is no proxy", { allow: "GET, HEAD" });
    });
    server.on("clientError", (error: Error & { code?: string }, socket: Socket) => {
      if (!socket.writable || this.#refused.has(socket)) return; // called for each piece of a head that is too long
      this.#refused.add(socket);
      const [status, line] = CLIENT_ERRORS[error.code ?? ""] ?? [400, "this is no HTTP request"];
      answerLine(socket, status, line);
    });
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen({ host: hostname, port: this.#port, backlog: BACKLOG }, listening.resolve);
    await listening.promise;
    server.off("error", listening.reject);
    server.on("error", (error) => log.error("cannot accept: {error}", { error: messageOf(error) }));
    this.#port = (server.address() as AddressInfo).port;
    this.addresses.push(addressText(hostname, this.#port));
    this.#servers.push(server);
  }

  /**
   * At the descriptor limit `node:net` of Deno 2.9.6 stops to accept, for good and without a word. To listen again on the
   * same handle makes it go on, and changes nothing where it has not stopped; there is no public way to do so.
   */
  #rearm(): void {
    for (const server of this.#servers) {
      (server as Server & { _handle?: { listen(backlog: number): number } })._handle?.listen(BACKLOG);
    }
  }

  /** The listener for requests that are no upgrades. */
  #responder(): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
    return getRequestListener(
      async (request, { incoming, outgoing }) => {
        const info = new Info(incoming.socket as Socket, outgoing as ServerResponse);
        const { method, url, headers } = request;
        const seen = {
          method,
          url,
          headers,
          get body() {
            return bodyOf(incoming as IncomingMessage);
          },
        };
        const result = await this.#options.handler(seen, info);
        if (result instanceof Response) return result;
        return text(400, handshakeFault(request) ?? "this request cannot be upgraded");
      },
      {
        hostname: "localhost", // of a request without a Host header, as HTTP/1.0 allows
        overrideGlobalObjects: false,
        autoCleanupIncoming: false, // `discardBody` does
        errorHandler: (error) => {
          if (error instanceof Error && error.name === "RequestError") {
            return text(400, "the Host header or the target of the request is not what HTTP allows");
          }
          log.error("cannot answer a request: {error}", { error });
          return text(500, "internal error, see the log of the server");
        },
      },
    ) as (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  }

  async #upgrade(incoming: IncomingMessage, socket: Socket, head: Uint8Array): Promise<void> {
    socket.on("error", ignore);
    const before = this.#answers.get(socket)?.at(-1);
    if (before) await new Promise((resolve) => before.once("close", resolve)); // else this answer would stand in the midst of that
    const result = this.#options.handler(new UpgradeRequest(incoming), new Info(socket, socket));
    // without a turn between where there is nothing to wait for
    const decided = result instanceof Promise ? await result : result;
    if (decided instanceof Upgrade) this.#open(incoming, socket, head, decided);
    else answer(socket, incoming.method === "HEAD" ? new Response(null, decided) : decided);
  }

  #open(
    { headers }: IncomingMessage,
    socket: Socket,
    head: Uint8Array,
    { listener, protocol }: Upgrade,
  ): void {
    if (!socket.readable || !socket.writable) return void socket.destroy(); // the peer has left meanwhile
    socket.setTimeout(0);
    socket.cork(); // until there is a message, see HOLD_MS
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${acceptKey(headers["sec-websocket-key"] as string)}\r\n` +
        (protocol === undefined ? "\r\n" : `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`),
    );
    socket.off("error", ignore);
    const connection = new NodeConnection(this, socket, head, listener);
    this.#connections.add(connection);
    connection.open();
  }
}

/** A request to upgrade, as much as the handler looks at: a whole `Request` costs as much as the rest of an upgrade. */
class UpgradeRequest implements IncomingRequest {
  readonly headers: IncomingRequest["headers"];
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    const { headers } = incoming;
    const get = (name: string): string | null => {
      const value = headers[name.toLowerCase()];
      return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
    };
    this.headers = { get, has: (name) => get(name) !== null };
  }

  get method(): string {
    return this.#incoming.method!;
  }

  get url(): string {
    const target = this.#incoming.url!;
    return target.startsWith("/") ? `http://${this.#incoming.headers.host ?? "localhost"}${target}` : target;
  }
}

class Info implements RequestInfo {
  readonly #socket: Socket;
  readonly #answer: Socket | ServerResponse;

  constructor(socket: Socket, answer: Socket | ServerResponse) {
    this.#socket = socket;
    this.#answer = answer;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }

  get completed(): Promise<void> {
    return new Promise((resolve) => this.#answer.once("close", resolve));
  }
}

function ignore(): void {}

/** A body that may be left in the middle: that of a `Request` would take the connection, and the answer, with it. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  return ReadableStream.from(incoming.iterator({ destroyOnReturn: false }));
}

/** Reads what the handler has left of a body, to a bound, so that the connection can go on or the client reads its answer. */
function discardBody(incoming: IncomingMessage): void {
  if (incoming.readableEnded || incoming.destroyed) return;
  let bytes = 0;
  incoming.on("error", ignore);
  incoming.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > MAX_DISCARDED_BYTES) incoming.destroy();
  });
  incoming.resume();
  incoming.read(0); // a body that nobody has begun to read is taken without a bound, once all listeners have been told
}

/** Answers on a socket that no `ServerResponse` stands before, and ends the connection. */
function answer(socket: Socket, response: Response): void {
  socket.once("finish", () => socket.destroy());
  socket.write(headOf(response));
  if (!response.body) return void socket.end();
  const body = Readable.fromWeb(response.body);
  socket.once("close", () => body.destroy());
  body.on("error", () => socket.destroy()).pipe(socket);
}

/** The same with a `text`, in one piece: before a second one the platform ends what a client that has closed its half is sent. */
function answerLine(socket: Socket, status: number, line: string, headers?: Record<string, string>): void {
  socket.once("finish", () => socket.destroy());
  socket.end(`${headOf(text(status, line, headers))}${line}\n`);
}

/** The head of an answer after which the connection ends, to its empty line. */
function headOf({ status, headers }: Response): string {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  return [...lines, "connection: close", "", ""].join("\r\n");
}
