import {
  configure,
  dispose,
  getAnsiColorFormatter,
  getJsonLinesFormatter,
  getStreamSink,
  getTextFormatter,
  type LogLevel,
  type LogRecord,
  type TextFormatterOptions,
} from "@logtape/logtape";

export { getLogger, type Logger } from "@logtape/logtape";

/** What `--log-level` takes, from the most to the least talkative. */
export const LOG_LEVELS: readonly string[] = ["debug", "info", "warning", "error"];

/** What `--log-format` takes. */
export const LOG_FORMATS: readonly string[] = ["text", "json"];

/** How a program writes its log. */
export interface LogOptions {
  /** One of `LOG_LEVELS`. */
  level: string;
  /** One of `LOG_FORMATS`. */
  format: string;
  /** Whether text is coloured: the stream is a terminal and `NO_COLOR` is not set. */
  color: boolean;
}

/**
 * Sends the log of the whole program to standard error until the result is disposed.
 *
 * Loggers are had by `getLogger(["solo", …])`; before this call they write nothing, which is what tests want.
 */
export async function configureLog({ level, format, color }: LogOptions): Promise<AsyncDisposable> {
  const formatter = format === "json"
    ? jsonLine
    : (color ? getAnsiColorFormatter : getTextFormatter)({ ...TEXT, format: textLine });
  await configure({
    sinks: { stderr: getStreamSink(standardError(), { formatter }) },
    loggers: [
      { category: ["solo"], sinks: ["stderr"], lowestLevel: level as LogLevel },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
    reset: true,
  });
  return { [Symbol.asyncDispose]: dispose };
}

/**
 * Standard error as a stream whose end leaves the real one open, for the last words of the entry point. Nobody reading
 * any more is no reason to stop working.
 */
function standardError(): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(chunk) {
      try {
        for (let sent = 0; sent < chunk.length;) sent += await Deno.stderr.write(chunk.subarray(sent));
      } catch {
        // the reader is gone
      }
    },
  });
}

/**
 * What shows as nothing, as a space, or as a turn of what follows it: DEL and the C1 control characters, which terminals
 * obey, formats such as bidirectional marks and joiners, and all that a font is told to leave out. `JSON.stringify` leaves
 * these as they are.
 */
const INVISIBLE = /(?! )[\x7f-\x9f\p{Cf}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\p{Zs}]/gu;

/**
 * Writes invisible characters as JSON escapes them, `\u202e`, so that a line of a log shows all that is in it.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(showInvisible("k\u202Emi"), "k\\u202emi");
 * assert.equal(showInvisible("\u{E0041}"), "\\udb40\\udc41");
 * assert.equal(showInvisible("Зоя 🚀"), "Зоя 🚀");
 * ```
 */
export function showInvisible(text: string): string {
  return text.replace(
    INVISIBLE,
    (character) =>
      character.split("").map((unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0")).join(""),
  );
}

/** A word stands as it is; what has spaces or unprintable characters is quoted, so that it cannot forge a line. */
function bareWords(value: unknown, inspect: (value: unknown) => string): string {
  if (typeof value !== "string") return showInvisible(inspect(value));
  return /^[\x21\x23-\x7e]+$/.test(value) ? value : showInvisible(JSON.stringify(value));
}

const TEXT: TextFormatterOptions = { timestamp: "rfc3339", level: "full", category: "·", value: bareWords };

const toMessage = getTextFormatter({ ...TEXT, lineEnding: "lf", format: ({ message }) => message });
const toJsonLine = getJsonLinesFormatter();

/**
 * The message is that of the text format; left alone, it would have each of its values in quotes. Outside of its strings
 * JSON has no invisible characters: what is read from the line is what was written.
 */
function jsonLine(record: LogRecord): string {
  const message = toMessage(record).trimEnd();
  return showInvisible(toJsonLine({ ...record, message: [message] }));
}

function textLine(parts: { timestamp: string | null; level: string; message: string }): string {
  return `${parts.timestamp} ${parts.level} ${parts.message}`;
}
