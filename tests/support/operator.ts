/** An operator of a `ws-server`: one request each. */

import { Cluster, type ClusterOptions } from "./cluster.ts";
import { RawWebSocket } from "./raw_websocket.ts";

/** What operators have to know, and the environment of a server that asks for it. */
export const TOKEN = "operators-token-0";
export const ENV = { SOLO_OPERATOR_TOKEN: TOKEN };
/** How a session ends that an operator has ended. */
export const ENDED = { code: 4403, reason: "ended by the operator" };
/** A session_id that nobody has. */
export const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

export interface Answer {
  status: number;
  text: string;
  headers: Headers;
}

/** A request with the token of operators, unless `headers` say otherwise. */
export async function ask(
  port: number,
  method: string,
  path: string,
  { headers, body }: { headers?: Record<string, string>; body?: BodyInit } = {},
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    body,
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

export async function statusOf(...args: Parameters<typeof ask>): Promise<number> {
  return (await ask(...args)).status;
}

export function pathOf(clientId: string): string {
  return `/sessions/${encodeURIComponent(clientId)}`;
}

export function ifMatch(...sessionIds: string[]): { headers: { "if-match": string } } {
  return { headers: { "if-match": sessionIds.map((sessionId) => `"${sessionId}"`).join(", ") } };
}

/** Writes to a client, or to that session of it only. */
export function say(port: number, clientId: string, body: BodyInit, sessionId?: string): Promise<Answer> {
  const condition = sessionId === undefined ? {} : ifMatch(sessionId);
  return ask(port, "POST", `${pathOf(clientId)}/messages`, { ...condition, body });
}

export function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  return Cluster.start({ operatorToken: TOKEN, ...options });
}

/** A client down to the frame, and its session_id. */
export async function establish(
  port: number,
  clientId: string,
): Promise<{ socket: RawWebSocket; sessionId: string }> {
  const socket = await RawWebSocket.connect(port, clientId);
  return { socket, sessionId: (await socket.text()).text };
}
