/**
 * What client and server say to each other: the shape of every request and reply, each defined once, as a schema.
 * The contract in prose is docs/tasks-protocol.md; how bytes become requests is framing.ts.
 */

import { z } from "zod";

/** Where a task stands: `waiting` → `execute` → `success` or `error`; it may also fail or be cancelled earlier. */
export const TASK_STATUSES = ["waiting", "execute", "success", "error"] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** The answer to `run` while as many tasks wait as may. */
export const QUEUE_IS_FULL = "queue is full";

/** The error of a task that was cancelled. */
export const CANCELLED = "cancelled";

/** The largest number of tasks in one answer to `list`. */
export const LIST_LIMIT = 1000;

/** How deep objects and arrays may stand in each other. A request needs one level, a reply three. */
export const MAX_NESTING = 64;

/**
 * How many fields and elements a request may have, where an empty object or array counts as one more. What JSON.parse
 * costs is a matter of values and hardly of bytes: a MiB of small objects takes 60 to 110 ms, a MiB of text 3 ms, a
 * thousand objects less than 1 ms.
 */
export const MAX_REQUEST_VALUES = 1000;

const taskId = z.number().int().positive();
const wait = z.boolean().optional();

// zod costs 0.1 µs a request more than checks by hand (JSON.parse itself: 0.27 µs; a request's whole way through the
// server: 4 µs or more), so there is no second, faster definition. Fields a request does not know are ignored.
const request = z.discriminatedUnion("type", [
  /** Puts a task in the queue. */
  z.object({ type: z.literal("run"), task_name: z.string(), data: z.string() }),
  /** Asks where a task stands; `wait` asks to be told when it has ended. */
  z.object({ type: z.literal("status"), task_id: taskId, wait }),
  /** Asks for the result; `wait` asks to be told when the task has ended. */
  z.object({ type: z.literal("get_result"), task_id: taskId, wait }),
  /** Asks for the tasks the server knows. */
  z.object({ type: z.literal("list") }),
  /** Ends a task that waits or executes. */
  z.object({ type: z.literal("cancel"), task_id: taskId }),
  /** Asks for the server's counters. */
  z.object({ type: z.literal("stats") }),
]);

/** Anything a client may ask. */
export type Request = z.infer<typeof request>;

const status = z.enum(TASK_STATUSES);
/** The place in the queue of a waiting task; 1 = next. */
const position = z.number().int().positive().optional();
const count = z.number().int().nonnegative();

/** One schema for the reply to each type of request. A client checks with them what it was told. */
export const replySchemas = {
  run: z.union([z.object({ task_id: taskId }), z.object({ error: z.string() })]),
  status: z.object({ status, position }),
  get_result: z.object({
    status,
    /** The result; null while there is none. */
    data: z.string().nullable(),
    /** Why the task ended in `error`. */
    error: z.string().optional(),
  }),
  list: z.object({
    /**
     * In the order of their ids, at most `LIST_LIMIT`: where there are more, one half for those that execute or come
     * next, one half for those that ended last.
     */
    tasks: z.array(z.object({ task_id: taskId, task_name: z.string(), status, position })),
    /** How many tasks the server knows. */
    total: count,
  }),
  cancel: z.object({
    /** False where the task had ended already. */
    cancelled: z.boolean(),
    /** Where the task stands now. */
    status,
  }),
  stats: z.object({
    /** Tasks in the queue now. */
    waiting: count,
    /** Tasks in the worker now: 0 or 1. */
    executing: count,
    /** Ended tasks whose results are kept now. */
    kept: count,
    /** Tasks that ended in `success` since the start. */
    succeeded: count,
    /** Tasks that ended in `error` since the start, cancelled ones among them. */
    failed: count,
    /** Clients connected now, the asking one among them. */
    connections: count,
    /** Seconds since the start. */
    uptime_s: z.number().nonnegative(),
  }),
} as const;

/** The reply to a request of type `T`. */
export type Reply<T extends Request["type"]> = z.infer<(typeof replySchemas)[T]>;

/** A peer said something that the protocol does not know; the connection is closed without a reply. */
export class ProtocolError extends Error {
  override readonly name: string = "ProtocolError";
}

/** A client named a task that is not known: it never was, or is forgotten. */
export class UnknownTask extends ProtocolError {
  override readonly name = "UnknownTask";

  constructor(readonly taskId: number) {
    super(`no task ${taskId} is known`);
  }
}

/**
 * Reads one request.
 *
 * @param text One JSON object, as framing.ts cuts it out.
 * @throws {ProtocolError} that says what is wrong with it, on one line.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseRequest('{"type":"status","task_id":42}'), { type: "status", task_id: 42 });
 * assert.throws(() => parseRequest('{"type":"status","task_id":"42"}'), /task_id/);
 * assert.throws(() => parseRequest('{"type":"stop"}'), /type/);
 * ```
 */
export function parseRequest(text: string): Request {
  return check(request, parseJson(text), "request");
}

/**
 * Reads the reply to a request.
 *
 * @param type The type of the request that it answers.
 * @param line The reply, with or without its line end.
 * @throws {ProtocolError} when it is no such reply.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(parseReply("status", '{"status":"waiting","position":1}'), { status: "waiting", position: 1 });
 * assert.throws(() => parseReply("status", "220 mail.example ESMTP"), /no JSON/);
 * ```
 */
export function parseReply<T extends Request["type"]>(type: T, line: string): Reply<T> {
  return check<unknown>(replySchemas[type], parseJson(line), `reply to ${type}`) as Reply<T>;
}

/**
 * Writes a request or a reply as its line.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(encode({ type: "run", task_name: "echo", data: "a\nb" }), '{"type":"run","task_name":"echo","data":"a\\nb"}\n');
 * ```
 */
export function encode(message: Request | Reply<Request["type"]>): string {
  return JSON.stringify(message) + "\n";
}

/** Characters of data that are written at once. */
const PIECE_LENGTH = 32 * 1024;

/**
 * Writes a reply as its line, in pieces where its data is long: so whoever is slow to read a MiB makes the server hold a
 * piece of it, and writing it keeps nobody waiting.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const reply = { status: "success", data: "👋".repeat(50_000) } as const;
 * const pieces = [...encodePieces(reply)];
 * assert.ok(pieces.length > 2);
 * assert.equal(pieces.join(""), encode(reply));
 * ```
 */
export function* encodePieces(reply: Reply<"get_result">): Generator<string, void> {
  const { data } = reply;
  if (!isLong(reply) || data === null) return yield encode(reply);
  const [before, after] = encode({ ...reply, data: "" }).split('"data":""');
  yield `${before}"data":"`;
  for (let at = 0; at < data.length;) {
    let end = at + PIECE_LENGTH;
    if (isHighSurrogate(data.charCodeAt(end - 1))) end++; // both halves of a character in one piece
    yield JSON.stringify(data.slice(at, end)).slice(1, -1);
    at = end;
  }
  yield `"${after}`;
}

/** Whether a reply is written in pieces. */
export function isLong(reply: Reply<Request["type"]>): reply is Reply<"get_result"> {
  return "data" in reply && reply.data !== null && reply.data.length > PIECE_LENGTH;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProtocolError("no JSON object", { cause });
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new ProtocolError(`${what} has a wrong ${path.join(".") || "shape"}: ${message}`);
}
