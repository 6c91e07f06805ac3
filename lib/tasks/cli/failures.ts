/** Everything that can go wrong for tasks-cli: its exit code, and a sentence that says what to do next. */

import { DeadlineError } from "../../service/clock.ts";
import { messageOf, ProgramError } from "../../service/errors.ts";
import { ConnectionClosed } from "../client.ts";
import { ProtocolError } from "../protocol.ts";

/** The exit codes of tasks-cli; `EXIT_USAGE` (2) is every program's. */
export const EXIT = {
  /** The task ended in `error`, or was not taken. */
  taskFailed: 1,
  /** The server knows no task with this id. */
  noSuchTask: 3,
  /** The server cannot be reached or broke the protocol. */
  server: 4,
  /** `--timeout` ran out. */
  timeout: 5,
} as const;

/** The wait for a task was given up; the task goes on. The reason is the `cause`. */
export class Unfinished extends Error {
  override readonly name = "Unfinished";

  constructor(readonly taskId: number, cause: unknown) {
    super(`task #${taskId} goes on; for its result: tasks-cli wait ${taskId}`, { cause });
  }
}

/**
 * A failure to speak with a server, in one sentence.
 *
 * @param server Its address, as `host:port`.
 */
export function serverFailure(error: unknown, server: string): unknown {
  if (error instanceof ProgramError) return error;
  const text = sentence(error, server);
  return text === undefined ? error : new ProgramError(text, { cause: error, exitCode: EXIT.server });
}

function sentence(error: unknown, server: string): string | undefined {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return `nothing listens on ${server}; start the server (tasks-server, or: deno task start), ` +
      "or say where it is with --host and --port";
  }
  if (error instanceof ProtocolError) {
    return `${server} does not speak the protocol of tasks (${error.message}); check --host and --port`;
  }
  if (error instanceof ConnectionClosed) {
    return `${server} closed the connection without an answer; it may be stopping, have too many clients, ` +
      "or be no tasks-server: try again, or check --host and --port";
  }
  if (error instanceof DeadlineError) return `${server}: ${error.message}; check --host and --port`;
  // what else Deno.connect and a connection throw: unknown or malformed host, unreachable network, reset
  if (error instanceof URIError || (error instanceof Error && isSystemError(error))) {
    return `cannot reach ${server}: ${reasonOf(error)}; check --host and --port`;
  }
  return undefined;
}

/** What the operating system says, without its number for it. */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\)$/, "");
}

/** Whether an error comes from the operating system: Deno gives it a class of its own, or only a text. */
function isSystemError(error: Error): boolean {
  return Object.values(Deno.errors).some((type) => error instanceof type) ||
    /os error|lookup address/.test(error.message);
}
