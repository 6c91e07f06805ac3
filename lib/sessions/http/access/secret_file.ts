/** Secrets: from a file, which may change while the program runs, or from the environment, which cannot. */

import { messageOf, ProgramError } from "../../../service/errors.ts";
import { getLogger } from "../../../service/log.ts";

const log = getLogger(["solo", "access"]);

/** How often a file is read again, at most. */
const REREAD_MS = 1_000;

/** The largest file that is taken for a secret. */
const MAX_SECRET_BYTES = 64 * 1024;

/** A text that only those may know who are trusted with it. */
export interface Secret {
  /** As it is now. */
  readonly value: string;
}

export interface SecretOptions {
  /** Names the secret in errors: "the operators' token". */
  what: string;
  /** A shorter one is refused. */
  minBytes: number;
}

/**
 * A secret that the environment holds.
 *
 * @param name The variable, for the error.
 * @throws {ProgramError} when it is too short.
 */
export function secretOf(value: string, name: string, options: SecretOptions): Secret {
  const problem = problemOf(value, options.minBytes);
  if (problem) throw new ProgramError(`${options.what} in ${name} is not usable: ${problem}`);
  return { value };
}

/**
 * A secret in a file; one line end after it is not part of it. Read again when it is asked for, at most once a second:
 * a new one counts from then on. What cannot be used does not replace what could.
 */
export class SecretFile implements Secret {
  readonly #path: string;
  readonly #options: SecretOptions;
  readonly #nowMs: () => number;
  #value: string;
  #readAtMs: number;
  #problem = "";

  /**
   * @param nowMs The time, ms. @default the system's monotonic clock
   * @throws {ProgramError} when there is nothing usable in it; the text says what to do.
   */
  constructor(path: string, options: SecretOptions, nowMs: () => number = () => performance.now()) {
    this.#path = path;
    this.#options = options;
    this.#nowMs = nowMs;
    try {
      this.#value = readSecret(path, options.minBytes);
    } catch (error) {
      throw new ProgramError(`${options.what} cannot be read from ${path}: ${adviceOn(error)}`, {
        cause: error,
      });
    }
    this.#readAtMs = nowMs();
    if (isReadableByAll(path)) {
      log.warn("every user of this machine can read {path}, which holds {what}; chmod o-r it", {
        path,
        what: options.what,
      });
    }
  }

  get value(): string {
    const nowMs = this.#nowMs();
    if (nowMs - this.#readAtMs >= REREAD_MS) {
      this.#readAtMs = nowMs;
      this.#reread();
    }
    return this.#value;
  }

  #reread(): void {
    try {
      const value = readSecret(this.#path, this.#options.minBytes);
      if (value !== this.#value) log.info("{what} has changed in {path}", this.#names());
      this.#value = value;
      this.#problem = "";
    } catch (error) {
      const problem = adviceOn(error);
      if (problem === this.#problem) return; // said already
      this.#problem = problem;
      log.warn("{path} is not usable any more, {what} stays as it was: {problem}", {
        ...this.#names(),
        problem,
      });
    }
  }

  #names(): { what: string; path: string } {
    return { what: this.#options.what, path: this.#path };
  }
}

/** @throws {Error} whose message says what is wrong with the file. */
function readSecret(path: string, minBytes: number): string {
  const { isFile, size } = Deno.statSync(path); // reading a pipe could take for ever
  if (!isFile) throw new Error("it is not a file");
  if (size > MAX_SECRET_BYTES) throw new Error(`it has more than ${MAX_SECRET_BYTES} bytes`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    throw error instanceof TypeError ? new Error("it is not UTF-8", { cause: error }) : error;
  }
  const value = text.replace(/\r?\n$/, "");
  const problem = problemOf(value, minBytes);
  if (problem) throw new Error(problem);
  return value;
}

function problemOf(value: string, minBytes: number): string | undefined {
  if (value === "") return "it is empty";
  if (new TextEncoder().encode(value).length >= minBytes) return undefined;
  return `it is shorter than ${minBytes} bytes and could be guessed; openssl rand -base64 ${minBytes} makes a good one`;
}

function isReadableByAll(path: string): boolean {
  return ((Deno.statSync(path).mode ?? 0) & 0o004) !== 0;
}

/** What the system says of a file that cannot be read, with what can be done about it. */
export function adviceOn(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not permit it, see its owner and mode";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "this program may read in /etc/solo, /run/secrets, /run/credentials alone: put it there, or see Deno's --allow-read";
  }
  return messageOf(error);
}
