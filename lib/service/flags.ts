import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";
import { ProgramError, withoutPasswords } from "./errors.ts";
import { VERSION } from "./version.ts";

/** The exit code for a command line that makes no sense. */
export const EXIT_USAGE = 2;

/**
 * A command line in the manner of all programs here: errors are one line that starts with `ERROR:`, typing mistakes
 * get a suggestion, nothing exits by itself.
 *
 * @param name What the user types.
 * @param summary One sentence for `--help`.
 */
export function createProgram(name: string, summary: string): Command {
  return new Program(name)
    .description(summary)
    .version(VERSION, "--version", "print the version and exit")
    .helpOption("--help", "print this help and exit")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      // nothing is coloured; left alone, commander asks the environment whether it may, which needs a permission
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(`ERROR: ${oneLine(text)}; see ${name} --help\n`),
    });
}

/** Whoever asks for help gets it, also where a variable holds nonsense: help says what it may hold. */
class Program extends Command {
  override parseOptions(args: string[]): { operands: string[]; unknown: string[] } {
    const parsed = super.parseOptions(args);
    const { operands: [first = ""], unknown } = parsed;
    const flags = unknown.slice(0, unknown.concat("--").indexOf("--"));
    if (flags.includes("--help")) {
      const named = this.commands.find((command) => [command.name(), ...command.aliases()].includes(first));
      (named ?? this).help();
    }
    return parsed;
  }
}

/** What a flag is worth when it is not given, and where else its value may come from. */
export interface FlagOptions<T> {
  /** The environment variable that the flag wins over. */
  env?: string;
  /**
   * Turns the text into the value, where the flag may be repeated with those that came before it; throws
   * `InvalidArgumentError` where it cannot.
   */
  parse?: (text: string, before: T) => T;
  /** The value when neither the flag nor the variable is given. */
  default?: T;
  /** How `--help` writes the default. @default the value itself */
  defaultText?: string;
}

/** One flag of a program, for `program.addOption`. */
export function flag<T>(flags: string, description: string, options: FlagOptions<T> = {}): Option {
  const option = new Option(flags, description);
  if (options.env !== undefined) option.env(options.env);
  if (options.parse !== undefined) option.argParser(options.parse);
  if ("default" in options || options.defaultText !== undefined) {
    option.default(options.default, options.defaultText);
  }
  return option;
}

/** `--log-level` and `--log-format`, the same for every server. */
export function addLogFlags(program: Command): Command {
  return program
    .addOption(
      flag("--log-level <level>", "least severity to log", { env: "SOLO_LOG_LEVEL", default: "info" })
        .choices(LOG_LEVELS),
    )
    .addOption(
      flag("--log-format <format>", "how to write the log", { env: "SOLO_LOG_FORMAT", default: "text" })
        .choices(LOG_FORMATS),
    );
}

/**
 * A parser for whole numbers in a range.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const port = integer({ min: 0, max: 65_535 });
 * assert.equal(port("8880"), 8880);
 * assert.throws(() => port("http"), /a whole number from 0 to 65535/);
 * ```
 */
export function integer({ min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number }) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`Give a whole number ${range}.`);
    }
    return value;
  };
}

/**
 * A parser for any text but none: a variable that was left empty is a mistake, and nobody should have to guess what it
 * turns off. An empty address is every address, for one.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(nonEmpty("127.0.0.1"), "127.0.0.1");
 * assert.throws(() => nonEmpty(""), /Give a text, or leave it out/);
 * ```
 */
export function nonEmpty(text: string): string {
  if (text === "") throw new InvalidArgumentError("Give a text, or leave it out.");
  return text;
}

/**
 * A parser for a flag that may be repeated; in one text (that of an environment variable) values stand with spaces or
 * commas between them. None at all are a mistake, see `nonEmpty`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const ports = list(port);
 * assert.deepEqual(ports("1, 2"), [1, 2]);
 * assert.deepEqual(ports("3", ports("1 2")), [1, 2, 3]);
 * ```
 */
export function list<T>(parse: (text: string) => T) {
  return (text: string, before: T[] = []): T[] => {
    const values = text.split(/[\s,]+/).filter(Boolean);
    if (values.length === 0) throw new InvalidArgumentError("Give at least one, or leave it out.");
    return [...before, ...values.map(parse)];
  };
}

/** A TCP port; 0 lets the system choose a free one. */
export const port: (text: string) => number = integer({ min: 0, max: 65_535 });

/** Where to listen. */
export interface ListenAddress {
  hostname: string;
  /** 0 for a free one. */
  port: number;
}

/**
 * A parser for an address to listen on.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(listenAddress("localhost:9464"), { hostname: "localhost", port: 9464 });
 * assert.deepEqual(listenAddress("[::1]:0"), { hostname: "::1", port: 0 });
 * assert.throws(() => listenAddress("9464"), /<host>:<port>/);
 * ```
 */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain, number] = text.match(/^(?:\[([\da-f:.]+)\]|([^:\s[\]]+)):(\d+)$/i) ?? [];
  const hostname = bracketed ?? plain;
  if (hostname === undefined || Number(number) > 65_535) {
    throw new InvalidArgumentError("Give <host>:<port>, such as 127.0.0.1:9464 or [::1]:9464.");
  }
  return { hostname, port: Number(number) };
}

/** The longest time that a flag takes where it does not say otherwise: a day. */
export const MAX_SECONDS = 86_400;

/**
 * A parser for a number of seconds, fractions allowed; the value is in milliseconds.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(seconds({ min: 0 })("2.5"), 2500);
 * assert.throws(() => seconds({ min: 1 })("0.5"), /seconds, 1 or more/);
 * ```
 */
export function seconds({ min, max = MAX_SECONDS }: { min: number; max?: number }) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Give a number of seconds, ${min} or more, at most ${max}.`);
    }
    return Math.round(value * 1000);
  };
}

/** The exit code that an error of a program's run stands for, and the line to print where nothing is printed yet. */
export function exitOf(error: unknown): { code: number; line?: string } {
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? 0 : EXIT_USAGE };
  if (error instanceof ProgramError) {
    return { code: error.exitCode, line: `ERROR: ${oneLine(error.message)}` };
  }
  return { code: 1, line: `ERROR: ${error instanceof Error ? error.stack : error}` };
}

/** An error text of commander's as one line without its own prefix. */
function oneLine(text: string): string {
  return withoutPasswords(text).trim().replace(/^error: /, "").replace(/\s*\n\s*/g, " ").replace(/\.$/, "");
}
