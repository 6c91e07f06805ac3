/** What an operator may do with the session of one client: docs/sessions-protocol.md */

/** @import { Session } from "./sessions.js" */

import { hasText, text } from "./texts.js";

/** Longer than any answer takes: the server has a deadline for each, which a long lease makes a long one. */
const PATIENCE_MS = 120_000;

/** @typedef {"lookUp" | "end" | "write"} Operation */

/** Why it was not done, in words for the operator. */
export class OperationError extends Error {}

/**
 * The session that a client has now.
 *
 * @param {string} clientId
 * @returns {Promise<Session>}
 * @throws {OperationError} as all of these
 */
export async function lookUp(clientId) {
  const response = await ask("lookUp", clientId, "", { headers: { accept: "application/json" } });
  return await response.json();
}

/**
 * Ends this session, and not one that has taken its place.
 *
 * @param {Session} session
 * @param {number} blockS for how many seconds its client is refused afterwards
 */
export async function end({ client_id, session_id }, blockS) {
  const query = blockS > 0 ? `?block=${blockS}` : "";
  await ask("end", client_id, query, { method: "DELETE", headers: { "if-match": `"${session_id}"` } });
}

/**
 * Writes to this session, and not to one that has taken its place.
 *
 * @param {Session} session
 * @param {string} message
 */
export async function write({ client_id, session_id }, message) {
  await ask("write", client_id, "/messages", {
    method: "POST",
    headers: { "if-match": `"${session_id}"`, "content-type": "text/plain; charset=utf-8" },
    body: message,
  });
}

/**
 * Whether a browser can ask for this client: it takes these two for steps in a path, however they are written.
 *
 * @param {string} clientId
 */
export function canAsk(clientId) {
  return clientId !== "." && clientId !== "..";
}

/**
 * @param {Operation} operation
 * @param {string} clientId
 * @param {string} rest of the path, and the query
 * @param {RequestInit} request
 */
async function ask(operation, clientId, rest, request) {
  if (!canAsk(clientId)) throw new OperationError(text("failed.path"));
  const path = `sessions/${encodeURIComponent(clientId.toWellFormed())}${rest}`;
  let response;
  try {
    response = await fetch(path, { ...request, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new OperationError(text(`${operation}.unanswered`));
  }
  if (response.ok) return response;
  const line = (await response.text().catch(() => "")).trim();
  throw new OperationError(explain(operation, response.status, line));
}

/**
 * @param {Operation} operation
 * @param {number} status
 * @param {string} line what the server says
 */
function explain(operation, status, line) {
  const key = [`${operation}.${status}`, `failed.${status}`].find(hasText) ?? "failed";
  return text(key, { status: String(status), line });
}
