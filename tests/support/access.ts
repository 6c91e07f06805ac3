/** Who asks a `ws-server` for access: requests down to their heads, over either transport. */

import { withDeadline } from "../../lib/service/clock.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { type Server, startServer } from "./program.ts";
import { writeAll } from "./raw_websocket.ts";
import { TRANSPORTS } from "./transports.ts";
import { PATIENCE_MS } from "./wait.ts";

/** Headers by their names, sent as they are. */
export type HeaderFields = Record<string, string>;

/** A test that is the same over either transport. */
export function test(behaviour: string, body: (transport: TransportName) => Promise<void>): void {
  for (const transport of TRANSPORTS) {
    Deno.test(`ws-server --transport ${transport}: ${behaviour}`, () => body(transport));
  }
}

/** A `ws-server` with sessions in memory. */
export function start(
  transport: TransportName,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<Server> {
  return startServer("ws-server", ["--redis", "off", "--transport", transport, ...args], { env });
}

/** The status of an answer and its head in small letters. Who becomes a session has been told its session_id. */
export async function ask(
  port: number,
  target: string,
  headers: HeaderFields = {},
): Promise<{ status: number; head: string }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const lines = Object.entries({ host: `127.0.0.1:${port}`, ...headers })
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const request = new TextEncoder().encode(`GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const written = writeAll(connection, request).catch(() => {}); // refused before it was read to its end
  const buffer = new Uint8Array(4096);
  let [text, status] = ["", 0];
  const isComplete = () => {
    const end = text.indexOf("\r\n\r\n");
    status = Number(text.split(" ", 2)[1]);
    return end >= 0 && (status !== 101 || text.length > end + "\r\n\r\n".length);
  };
  while (!isComplete()) {
    const count = await withDeadline(connection.read(buffer), PATIENCE_MS, `no answer to ${target}`);
    if (count === null) throw new Error(`the answer to ${target} ended after: ${text}`);
    text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
  }
  await written;
  return { status, head: text.split("\r\n\r\n", 1)[0]!.toLowerCase() };
}

/** The same for a request to upgrade; who is let in leaves at once. */
export function connect(port: number, query: string, headers: HeaderFields = {}) {
  return ask(port, `/?${query}`, {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "c29sbyB0ZXN0IGtleSAxMg==",
    ...headers,
  });
}

/** A token, as programs show it, and as browsers do. */
export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
export const basic = (password: string) => ({ authorization: `Basic ${btoa(`anyone:${password}`)}` });

/** How many requests the server has refused, by reason. */
export async function refusals(port: number, headers?: HeaderFields): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text();
  const found = text.matchAll(/^solo_connections_refused_total\{reason="([^"]+)"\} (\d+)$/gm);
  return Object.fromEntries(Array.from(found, ([, reason, count]) => [reason, Number(count)]));
}
