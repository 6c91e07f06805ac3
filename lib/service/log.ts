import {
  configure,
  dispose,
  getAnsiColorFormatter,
  getJsonLinesFormatter,
  getStreamSink,
  getTextFormatter,
  type LogLevel,
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
  const text: TextFormatterOptions = { timestamp: "rfc3339", level: "full", category: "·", value: bareWords };
  const formatter = format === "json"
    ? getJsonLinesFormatter()
    : (color ? getAnsiColorFormatter : getTextFormatter)({ ...text, format: textLine });
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

/** A word stands as it is; what has spaces or unprintable characters is quoted, so that it cannot forge a line. */
function bareWords(value: unknown, inspect: (value: unknown) => string): string {
  if (typeof value === "string") return /^[\x21\x23-\x7e]+$/.test(value) ? value : JSON.stringify(value);
  return inspect(value);
}

function textLine(parts: { timestamp: string | null; level: string; message: string }): string {
  return `${parts.timestamp} ${parts.level} ${parts.message}`;
}
