/** What tasks-cli writes on standard output, line by line. */

import { printable } from "../../service/printable.ts";
import type { Reply } from "../protocol.ts";

/** A name from another client is cut after this many characters in a list. */
const MAX_NAME = 40;

/** The answer to a new task. */
export function addedText(taskName: string, id: number): string {
  return `Task [${taskName}] added to the queue. Task id is #${id}`;
}

/** The status of a task. */
export function statusText(id: number, { status }: Reply<"status">): string {
  return `Status of task #${id}: ${status}`;
}

/**
 * The result of a task.
 *
 * @param task Names the task: `#4`, or `[revers]` where the same command has started it.
 * @param show Makes the data fit for where it goes; `printable` for a terminal.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(resultText("#4", { status: "success", data: "olleh" }), "Result of task #4: olleh\nStatus: success");
 * assert.equal(resultText("#4", { status: "waiting", data: null }), "Result of task #4: none yet\nStatus: waiting");
 * assert.equal(resultText("#4", { status: "success", data: "a" }, (text) => `<${text}>`), "Result of task #4: <a>\nStatus: success");
 * ```
 */
export function resultText(
  task: string,
  { status, data }: Reply<"get_result">,
  show: (data: string) => string = (data) => data,
): string {
  const result = data === null ? (status === "error" ? "none" : "none yet") : show(data);
  return `Result of task ${task}: ${result}\nStatus: ${status}`;
}

/** What has become of a wish to cancel. */
export function cancelText(id: number, { cancelled, status }: Reply<"cancel">): string {
  return cancelled ? `Task #${id} cancelled` : `Task #${id} had already ended: ${status}`;
}

/**
 * The tasks of a server as a table.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const tasks = [
 *   { task_id: 9, task_name: "revers", status: "execute" as const },
 *   { task_id: 10, task_name: "echo", status: "waiting" as const, position: 1 },
 * ];
 * assert.equal(
 *   listText({ tasks, total: 2 }),
 *   "ID   TASK    STATUS   PLACE\n#9   revers  execute\n#10  echo    waiting  1",
 * );
 * ```
 */
export function listText({ tasks, total }: Reply<"list">): string {
  const rows = tasks.map(({ task_id, task_name, status, position }) => [
    `#${task_id}`,
    shortened(printable(task_name)),
    status,
    position === undefined ? "" : String(position),
  ]);
  const text = table([["ID", "TASK", "STATUS", "PLACE"], ...rows]);
  return total > tasks.length ? `${text}\n(${tasks.length} of ${total} tasks)` : text;
}

/** The counters of a server. */
export function statsText(stats: Reply<"stats">): string {
  return table(Object.entries(stats).map(([name, value]) => [name, String(value)]));
}

/** Where a task stands, for the spinner. */
export function progressText(id: number, { status, position }: Reply<"status">): string {
  if (position !== undefined) return `Task #${id} waits, place ${position} in the queue`;
  return status === "execute" ? `Task #${id} is executing` : `Task #${id}`;
}

function shortened(text: string): string {
  const characters = [...text];
  return characters.length > MAX_NAME ? `${characters.slice(0, MAX_NAME - 1).join("")}…` : text;
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
    .join("\n");
}
