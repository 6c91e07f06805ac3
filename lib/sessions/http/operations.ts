/** `/sessions/<id>` and `/sessions/<id>/messages`: what operators do with the session of one client. */

import { printable } from "../../service/printable.ts";
import { checkClientId, ClientIdError } from "../client_id.ts";
import {
  type Condition,
  meets,
  type Missing,
  RegistryUnreachableError,
  type SessionRegistry,
} from "../registry/registry.ts";
import { toJson } from "../session_entry.ts";
import { text } from "../transport/text.ts";
import { type IncomingRequest, MAX_MESSAGE_BYTES } from "../transport/transport.ts";
import { preferred } from "./accepts.ts";
import { queryOf } from "./access/decision.ts";
import { RETRY_AFTER_S } from "./connect.ts";
import { JSON_LISTING, TEXT_LISTING } from "./listing.ts";

/** So many operations may be under way in a process: each holds a connection, and maybe a text. */
const MAX_OPERATIONS = 256;

/** The longest block, seconds. */
const MAX_BLOCK_S = 86_400;

const PREFIX = "/sessions/";

/** As the metrics count them. */
export type OperationName = "look-up" | "end" | "send";

export interface OperationsOptions {
  registry: SessionRegistry;
  /** An operation was answered. */
  onOperation: (operation: OperationName, status: number) => void;
}

/** What a request asks for. */
interface Target {
  readonly clientId: string;
  readonly messages: boolean;
}

/** Answers for one client. Who may ask is decided before. */
export class Operations {
  readonly #options: OperationsOptions;
  #underWay = 0;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /**
   * Answers a request for a path under `/sessions/`.
   *
   * @returns nothing where the path is none of an operation.
   */
  answer(request: IncomingRequest, path: string): Response | Promise<Response> | undefined {
    let target: Target | undefined;
    try {
      target = targetOf(path);
    } catch (error) {
      if (error instanceof ClientIdError) return text(400, error.message);
      throw error;
    }
    if (!target) return undefined;
    const { method } = request;
    const { clientId, messages } = target;
    if (messages) {
      if (method !== "POST") return notAllowed("POST");
      return this.#run("send", () => this.#send(request, clientId));
    }
    if (method === "GET" || method === "HEAD") {
      return this.#run("look-up", () => this.#find(request, clientId));
    }
    if (method === "DELETE") return this.#run("end", () => this.#end(request, clientId));
    return notAllowed("GET, HEAD, DELETE");
  }

  async #run(operation: OperationName, act: () => Promise<Response>): Promise<Response> {
    let response: Response;
    if (this.#underWay >= MAX_OPERATIONS) {
      response = unavailable(`nothing was done: ${MAX_OPERATIONS} operations are under way already`);
    } else {
      this.#underWay++;
      try {
        response = await act();
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
        response = text(error.status, error.message);
      } finally {
        this.#underWay--;
      }
    }
    this.#options.onOperation(operation, response.status);
    return response;
  }

  async #find({ method, url, headers }: IncomingRequest, clientId: string): Promise<Response> {
    parametersOf(url);
    const condition = conditionOf(headers.get("if-match"));
    let entry;
    try {
      entry = await this.#options.registry.find(clientId);
    } catch (error) {
      return unreachable(error);
    }
    if (!entry) return missing({ kind: "nobody" });
    if (!meets(condition, entry.sessionId)) return missing({ kind: "other" });
    const asJson = preferred(headers, "Accept", "text/plain", "application/json") === "application/json";
    const body = asJson ? `${JSON.stringify(toJson(entry))}\n` : TEXT_LISTING.page([entry], true);
    return new Response(method === "HEAD" ? null : body, {
      headers: {
        "content-type": (asJson ? JSON_LISTING : TEXT_LISTING).contentType,
        "cache-control": "no-store",
        etag: `"${entry.sessionId}"`,
        vary: "accept",
      },
    });
  }

  async #end({ url, headers }: IncomingRequest, clientId: string): Promise<Response> {
    const condition = conditionOf(headers.get("if-match"));
    const blockS = blockOf(parametersOf(url, "block"));
    const blockMs = blockS === undefined ? undefined : blockS * 1000;
    const blocked = blockS === undefined ? "" : `; the client is refused for ${blockS} s`;
    let result;
    try {
      result = await this.#options.registry.end(clientId, { condition, blockMs });
    } catch (error) {
      return unreachable(error, "the session may have been told to end, ask again");
    }
    switch (result.kind) {
      case "ended":
        return text(200, `the session is ended${blocked}`);
      case "nobody":
        if (blockS !== undefined && condition === undefined) {
          return text(200, `nobody is connected${blocked}`);
        }
        return missing(result);
      case "other":
        return missing(result);
      case "full":
        return unavailable("nothing was done: too many clients are blocked already");
      case "unconfirmed":
        return unavailable(
          `the session was told to end, but its end is not confirmed yet: ask again${blocked}`,
        );
    }
  }

  async #send({ url, body, headers }: IncomingRequest, clientId: string): Promise<Response> {
    parametersOf(url);
    const condition = conditionOf(headers.get("if-match"));
    if (Number(headers.get("content-length")) > MAX_MESSAGE_BYTES) throw tooLong();
    const message = await textOf(body);
    let result;
    try {
      result = await this.#options.registry.send(clientId, message, condition);
    } catch (error) {
      return unreachable(error, "nothing was sent");
    }
    switch (result.kind) {
      case "sent":
        return text(200, result.sessionId, { etag: `"${result.sessionId}"` });
      case "nobody":
      case "other":
        return missing(result);
      case "full":
        return unavailable("nothing was sent: the client does not read what it was sent before");
      case "unsent":
        return unavailable("nothing was sent: the session is ending");
      case "unknown":
        return unavailable(
          "perhaps: the process of the session has not answered, it may have been sent or not",
        );
    }
  }
}

/** What an operator did wrong. */
class BadRequest extends Error {
  constructor(readonly status: 400 | 413, message: string) {
    super(message);
  }
}

/**
 * Whose session a path is about.
 *
 * @throws {ClientIdError} when that is no `client_id`.
 */
function targetOf(path: string): Target | undefined {
  if (!path.startsWith(PREFIX)) return undefined;
  const [encoded = "", messages, ...more] = path.slice(PREFIX.length).split("/");
  if (more.length > 0 || (messages !== undefined && messages !== "messages")) return undefined;
  let clientId: string;
  try {
    clientId = decodeURIComponent(encoded);
  } catch {
    throw new ClientIdError("client_id in the path is not percent-encoded UTF-8");
  }
  checkClientId(clientId);
  return { clientId, messages: messages !== undefined };
}

/**
 * An element of a list of entity tags, with the comma after it (RFC 9110, sections 5.6.1.2 and 8.8.3): it may be empty, and a
 * tag may have commas in it.
 */
const TAG_ELEMENT = /[ \t]*(?:(W\/)?"([\x21\x23-\x7E\x80-\xFF]*)"[ \t]*)?(?:,|$)/gy;

/**
 * The condition in an `If-Match` header (RFC 9110, section 13.1.1).
 *
 * Tags are compared strongly: a weak one names no session.
 */
function conditionOf(header: string | null): Condition {
  if (header === null) return undefined;
  if (header.trim() === "*") return "*";
  const sessionIds: string[] = [];
  let end = 0;
  for (const [element, weak, tag] of header.matchAll(TAG_ELEMENT)) {
    end += element.length;
    if (tag !== undefined && weak === undefined) sessionIds.push(tag);
  }
  if (end < header.length) {
    throw new BadRequest(400, 'If-Match is not "<session_id>", several of them with commas between, or *');
  }
  return sessionIds;
}

/**
 * The parameters of a request. One that nobody knows is no less than a mistake: what was to be blocked would be let in again.
 *
 * @param known The only one that there may be.
 */
function parametersOf(url: string, known?: string): URLSearchParams {
  const parameters = new URLSearchParams(queryOf(url));
  for (const name of parameters.keys()) {
    if (name === known) continue;
    const instead = known === undefined ? "there are none here" : `only ${known} is known here`;
    throw new BadRequest(400, `the parameter "${printable(name)}" is unknown: ${instead}`);
  }
  return parameters;
}

/** For how many seconds the client is to be blocked. */
function blockOf(query: URLSearchParams): number | undefined {
  const values = query.getAll("block");
  if (values.length === 0) return undefined;
  const [value = ""] = values;
  const seconds = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (values.length > 1 || seconds < 1 || seconds > MAX_BLOCK_S) {
    throw new BadRequest(400, `block is not a number of seconds from 1 to ${MAX_BLOCK_S}`);
  }
  return seconds;
}

function tooLong(): BadRequest {
  return new BadRequest(413, `messages are limited to ${MAX_MESSAGE_BYTES / 1024} KiB`);
}

/** A body as text, read no further than it may be long. */
async function textOf(body: IncomingRequest["body"]): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body ?? []) {
      bytes += chunk.length;
      if (bytes > MAX_MESSAGE_BYTES) break;
      chunks.push(chunk);
    }
  } catch {
    throw new BadRequest(400, "the message did not arrive to its end");
  }
  if (bytes > MAX_MESSAGE_BYTES) throw tooLong();
  if (bytes === 0) throw new BadRequest(400, "the message is empty");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      await new Blob(chunks as BlobPart[]).arrayBuffer(),
    );
  } catch {
    throw new BadRequest(400, "the message is not UTF-8");
  }
}

function missing({ kind }: Missing): Response {
  if (kind === "nobody") return text(404, "nobody is connected");
  return text(412, "another session is established than If-Match names");
}

/** @param known What can be said all the same. */
function unreachable(error: unknown, known?: string): Response {
  if (!(error instanceof RegistryUnreachableError)) throw error;
  const why = `the session registry has no answer: ${printable(error.message)}`;
  return unavailable(known === undefined ? why : `${why}; ${known}`);
}

function unavailable(line: string): Response {
  return text(503, line, { "retry-after": RETRY_AFTER_S });
}

function notAllowed(allow: string): Response {
  return text(405, `only ${allow} ${allow.includes(",") ? "are" : "is"} known here`, { allow });
}
