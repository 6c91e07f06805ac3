/** The public keys with which tokens are checked, kept up to date with where they come from. */

import { createLocalJWKSet, errors, type JSONWebKeySet } from "jose";
import { messageOf, ProgramError } from "../../../service/errors.ts";
import { getLogger } from "../../../service/log.ts";
import { adviceOn } from "./secret_file.ts";

const log = getLogger(["solo", "access"]);

/** Keys are not read more often than this, whatever tokens come. */
const COOLDOWN_MS = 10_000;

/** Keys that are older than this are read again when next needed, so that a withdrawn one does not stay for ever. */
const MAX_AGE_MS = 300_000;

/** How long the keys may take to come, and how long they may be. */
const FETCH_TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;

/** Finds the key for a token by its header: by `kid`, and only one that is for its `alg`. */
export type Keys = ReturnType<typeof createLocalJWKSet>;

/**
 * A JSON Web Key Set (RFC 7517) at a URL or in a file.
 *
 * What cannot be read or is no key set does not replace what could be: an identity provider that is away keeps nobody
 * out whose key is known.
 */
export class KeySet {
  readonly #source: string;
  readonly #nowMs: () => number;
  #keys!: Keys;
  #text = "";
  #readAtMs = -Infinity;
  #reading: Promise<void> | undefined;

  private constructor(source: string, nowMs: () => number) {
    this.#source = source;
    this.#nowMs = nowMs;
  }

  /**
   * Reads the keys for the first time.
   *
   * @param source A `https:` or `http:` URL, or the path of a file.
   * @param nowMs The time, ms. @default the system's monotonic clock
   * @throws {ProgramError} when they cannot be read or there is none; the text says why.
   */
  static async open(source: string, nowMs: () => number = () => performance.now()): Promise<KeySet> {
    const set = new KeySet(source, nowMs);
    try {
      if (await set.#load() === 0) throw new Error("the key set is empty");
    } catch (error) {
      throw new ProgramError(
        `cannot read the keys of --auth-jwks from ${redact(source)}: ${adviceOn(error)}`,
        {
          cause: error,
        },
      );
    }
    set.#readAtMs = nowMs();
    return set;
  }

  /** The keys that are known; old ones are read again meanwhile. Another object when they have changed. */
  get keys(): Keys {
    if (this.#nowMs() - this.#readAtMs > MAX_AGE_MS) this.#read();
    return this.#keys;
  }

  /** Waits for the keys to be read again, where the last time is not too near; see `keys` then. */
  async refresh(): Promise<void> {
    if (!this.#reading && this.#nowMs() - this.#readAtMs < COOLDOWN_MS) return;
    await this.#read();
  }

  /** One reading at a time, for all who wait for it. Never rejects. */
  #read(): Promise<void> {
    this.#readAtMs = this.#nowMs();
    return this.#reading ??= this.#load()
      .then((count) => {
        if (count === 0) {
          log.warn("{source} holds no key any more: no token is good", { source: redact(this.#source) });
        }
      }, (error) => {
        log.warn("cannot read the keys from {source}, the known ones stay: {error}", {
          source: redact(this.#source),
          error: adviceOn(error),
        });
      })
      .finally(() => this.#reading = undefined);
  }

  /** @returns how many keys there are. */
  async #load(): Promise<number> {
    const text = await (isUrl(this.#source) ? fetchText(this.#source) : readText(this.#source));
    const set = parse(text);
    if (text !== this.#text) {
      this.#keys = createLocalJWKSet(set);
      this.#text = text;
    }
    return set.keys.length;
  }
}

function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

function parse(text: string): JSONWebKeySet {
  let set: JSONWebKeySet;
  try {
    set = JSON.parse(text);
    createLocalJWKSet(set);
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof errors.JOSEError)) throw error;
    throw new Error("it is not a JSON Web Key Set", { cause: error });
  }
  if (set.keys.some((key) => "d" in key || key.kty === "oct")) {
    throw new Error(
      "it holds private or secret keys: only public ones belong there (a secret: --auth-secret-file)",
    );
  }
  return set;
}

async function readText(path: string): Promise<string> {
  const { isFile, size } = await Deno.stat(path); // reading a pipe could take for ever
  if (!isFile) throw new Error("it is not a file");
  if (size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
  return await Deno.readTextFile(path);
}

async function fetchText(url: string): Promise<string> {
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { accept: "application/jwk-set+json, application/json" },
      redirect: "error", // keys come from where the operator says, from nowhere else
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
  } catch (error) {
    throw new Error(messageOf(error).replaceAll(url, redact(url)), { cause: error });
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`the answer is ${response.status}`);
  }
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.length > MAX_BYTES) throw new Error(`the answer has more than ${MAX_BYTES} bytes`); // cancels the rest
  }
  return text;
}

/** A source as it may be logged: a URL without what could be a password in it. */
function redact(source: string): string {
  if (!isUrl(source)) return source;
  const { origin, pathname } = new URL(source);
  return origin + pathname;
}
