import { configure, type LogRecord, reset } from "@logtape/logtape";

/** All that the program says of itself, at every level, until it is disposed. */
export class CapturedLog implements AsyncDisposable {
  readonly #records: LogRecord[] = [];

  static async start(): Promise<CapturedLog> {
    const log = new CapturedLog();
    await configure({
      sinks: { captured: (record) => log.#records.push(record) },
      loggers: [
        { category: ["solo"], sinks: ["captured"], lowestLevel: "trace" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
      ],
      reset: true,
    });
    return log;
  }

  /** A line each, `level message`. */
  get lines(): string[] {
    return this.#records.map(({ level, message }) => `${level} ${message.map(String).join("")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await reset();
  }
}
