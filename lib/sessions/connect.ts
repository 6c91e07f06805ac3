/** `ws-server connect`: one client in a terminal, which stays connected and says why it no longer is. */

// @ts-types="./transport/ws.d.ts"
import { WebSocket } from "ws";
import { ProgramError } from "../service/errors.ts";
import { EXIT_USAGE } from "../service/flags.ts";
import { printable } from "../service/printable.ts";
import { CLOSE_CODES } from "./close_codes.ts";

/** The exit codes of `ws-server connect`, beside 0 for Ctrl-C. */
export const CONNECT_EXIT_CODES = {
  /** Nobody answers there, or the answer was not a session; the line says which. */
  notConnected: 1,
  /** The command line, or what it made the server say `400` to. */
  usage: EXIT_USAGE,
  /** A newer connection of the same client has taken over. */
  replaced: 3,
  /** The session ended otherwise, or its connection broke. */
  disconnected: 4,
} as const;

/** How long a server may take to answer the upgrade, with all of what it says: it may say a little now and then for ever. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** How long a server may take to answer the close. */
const CLOSE_TIMEOUT_MS = 1_000;

/** So much of a refusal is shown. */
const MAX_REFUSAL_LENGTH = 1_000;

/** A server says something every 5 s, a PING if nothing else. */
const SILENCE_MS = 15_000;

export interface ConnectOptions {
  /** Where the service is: http, https, ws or wss. */
  endpoint: string;
  /** May be left out where the token names the client. */
  clientId?: string;
  /** A JWT, sent as `Authorization: Bearer`. */
  token?: string;
  /** Ends the session in order. */
  signal: AbortSignal;
  /** Takes the session_id, and then each message. */
  print: (line: string) => void;
  /** How long the server may say nothing at all before it is given up. @default 15_000 */
  silenceMs?: number;
  /** How long it may take to answer at first. @default 10_000 */
  handshakeMs?: number;
}

/**
 * Connects a client, prints its session_id, and stays connected until it is told to end. It does not come back by itself:
 * why it was disconnected is what it is there to say.
 *
 * @returns when `signal` has ended it.
 * @throws {ProgramError} when the connection does not come about or ends, with one of `CONNECT_EXIT_CODES`.
 */
export async function connect(options: ConnectOptions): Promise<void> {
  const { signal, print, silenceMs = SILENCE_MS, handshakeMs = HANDSHAKE_TIMEOUT_MS } = options;
  const url = addressOf(options);
  if (signal.aborted) return;
  const ended = Promise.withResolvers<void>();
  const fail = (exitCode: number, why: string) => {
    if (signal.aborted) ended.resolve();
    else ended.reject(new ProgramError(why, { exitCode }));
  };
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    closeTimeout: CLOSE_TIMEOUT_MS,
    headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
  });

  let silence = setTimeout(() => {
    const why = `cannot connect to ${url.origin}: no answer in ${handshakeMs / 1000} s`;
    fail(CONNECT_EXIT_CODES.notConnected, why);
  }, handshakeMs);
  const heard = () => {
    clearTimeout(silence);
    if (signal.aborted) return; // what still comes while the session ends
    silence = setTimeout(() => {
      fail(CONNECT_EXIT_CODES.disconnected, `disconnected: ${url.origin} said nothing for ${silenceMs} ms`);
    }, silenceMs);
  };
  socket.on("open", heard);
  socket.on("ping", heard);
  socket.on("message", (data) => {
    heard();
    print(String(data));
  });
  socket.on("unexpected-response", async (_request, response) => {
    let body = "";
    try {
      for await (const piece of response.setEncoding("utf8")) {
        if ((body += piece).length >= MAX_REFUSAL_LENGTH) break;
      }
    } catch {
      // it broke on the way: what has come says more than that
    }
    body = printable(body.slice(0, MAX_REFUSAL_LENGTH).trim());
    const exitCode = response.statusCode === 400 ? CONNECT_EXIT_CODES.usage : CONNECT_EXIT_CODES.notConnected;
    fail(exitCode, `${url.origin} answers ${response.statusCode}: ${body || response.statusMessage}`);
  });
  let opened = false;
  socket.on("open", () => opened = true);
  socket.on("error", (error) => {
    if (!opened) fail(CONNECT_EXIT_CODES.notConnected, `cannot connect to ${url.origin}: ${error.message}`);
  });
  socket.on("close", (code, reason) => {
    const why = code === 1006 ? "the connection broke" : `${code} ${printable(String(reason))}`;
    const { replaced, disconnected } = CONNECT_EXIT_CODES;
    fail(code === CLOSE_CODES.replaced.code ? replaced : disconnected, `disconnected: ${why.trim()}`);
  });
  const onAbort = () => socket.close(1000);
  signal.addEventListener("abort", onAbort);
  try {
    await ended.promise;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", onAbort);
    socket.terminate(); // where it has not closed by itself
  }
}

/** @throws {ProgramError} when the endpoint is no address of a service. */
function addressOf({ endpoint, clientId }: ConnectOptions): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !/^(http|ws)s?:$/.test(url.protocol)) {
    throw new ProgramError(`"${endpoint}" is no endpoint; give one like http://localhost:8880`, {
      exitCode: CONNECT_EXIT_CODES.usage,
    });
  }
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  if (clientId !== undefined) url.searchParams.set("client_id", clientId);
  return url;
}
