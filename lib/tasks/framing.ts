/** Cuts a stream of bytes into requests, bounded in memory. */

import { MAX_NESTING, ProtocolError } from "./protocol.ts";

const TAB = 0x09;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

type Bytes = Uint8Array<ArrayBuffer>;

const NOTHING: Bytes = new Uint8Array(0);

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Finds the requests in what a client sends.
 *
 * A request is one JSON object. It ends with its last brace: a newline after it is usual and not needed, one inside it
 * breaks the protocol. Between requests there may be any white space. Only the frame is looked at here (braces, brackets
 * and strings), so that nothing is parsed that is expensive to parse; whether it holds JSON is seen by who parses it.
 * Each byte is looked at once, however it arrives.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const framer = new Framer(1024);
 * const encoder = new TextEncoder();
 * framer.feed(encoder.encode('{"type":"list"}{"type":'));
 * assert.equal(framer.next(), '{"type":"list"}');
 * assert.equal(framer.next(), undefined);
 * framer.feed(encoder.encode('"stats"}\n'));
 * assert.equal(framer.next(), '{"type":"stats"}');
 * assert.equal(framer.next(), undefined);
 * framer.end();
 * ```
 */
export class Framer {
  readonly #maxBytes: number;
  readonly #maxValues: number;
  #chunk = NOTHING;
  /** The next byte of the chunk to look at. */
  #at = 0;
  /** The beginning of the current request, as far as it came in earlier chunks. */
  #begun = NOTHING;
  #begunLength = 0;
  /** Open objects; the request ends with the last one, and the fields below it count only while there are some. */
  #depth = 0;
  /** Open arrays. */
  #arrays = 0;
  #values = 0;
  #inString = false;
  #escaped = false;

  /**
   * @param maxBytes The longest request, from its first brace to its last.
   * @param maxValues How many fields and elements it may have, an empty object or array as one more. @default any number
   */
  constructor(maxBytes: number, maxValues = Infinity) {
    this.#maxBytes = maxBytes;
    this.#maxValues = maxValues;
  }

  /** Whether a request has begun and not yet ended. */
  get hasBegun(): boolean {
    return this.#depth > 0;
  }

  /** The memory that the begun request takes. */
  get begunBytes(): number {
    return this.#begun.length;
  }

  /** Lets go of the begun request; nothing may be asked of the framer after that. */
  drop(): void {
    this.#begun = this.#chunk = NOTHING;
  }

  /** Takes the next bytes; they must not change until `next` has returned undefined. */
  feed(chunk: Bytes): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next complete request as text; undefined when more bytes are needed.
   *
   * @throws {ProtocolError} where the bytes can be no request; nothing may be asked of the framer after that.
   */
  next(): string | undefined {
    const chunk = this.#chunk;
    if (this.#depth === 0 && !this.#skipSpace()) return undefined;
    const start = this.#at;
    // kept in variables while the loop runs: 75 ns for a request of 60 bytes, half of what it takes with fields
    let at = start, depth = this.#depth, arrays = 0, values = 0, inString = false, escaped = false;
    if (depth > 0) {
      arrays = this.#arrays, values = this.#values, inString = this.#inString, escaped = this.#escaped;
    }
    const stop = Math.min(chunk.length, start + this.#maxBytes - this.#begunLength);
    do {
      if (at === stop) {
        if (stop < chunk.length) throw new ProtocolError(`request is longer than ${this.#maxBytes} bytes`);
        this.#depth = depth, this.#inString = inString, this.#escaped = escaped;
        this.#arrays = arrays, this.#values = values;
        this.#at = at;
        this.#keep(chunk.subarray(start));
        return undefined;
      }
      const byte = chunk[at++]!;
      if (byte === NEWLINE) throw new ProtocolError("line ends inside an object");
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === CLOSE) depth--;
      else if (byte === CLOSE_ARRAY) {
        if (--arrays < 0) throw new ProtocolError("no JSON object");
      } else if (byte === COMMA || byte === OPEN || byte === OPEN_ARRAY) {
        if (byte === OPEN) depth++;
        else if (byte === OPEN_ARRAY) arrays++;
        if (depth + arrays > MAX_NESTING) throw new ProtocolError(`nesting is deeper than ${MAX_NESTING}`);
        if (++values > this.#maxValues) {
          throw new ProtocolError(`request has more than ${this.#maxValues} values`);
        }
      }
    } while (depth > 0);
    this.#at = at;
    this.#depth = 0;
    return this.#complete(chunk.subarray(start, at));
  }

  /**
   * Says that nothing more will come.
   *
   * @throws {ProtocolError} in the middle of a request.
   */
  end(): void {
    if (this.#depth > 0) throw new ProtocolError("stream ended inside a request");
  }

  /** Goes to the first brace of the next request; false when it has not come yet. */
  #skipSpace(): boolean {
    const chunk = this.#chunk;
    for (; this.#at < chunk.length; this.#at++) {
      const byte = chunk[this.#at]!;
      if (byte === OPEN) return true;
      if (
        byte !== NEWLINE && byte !== CARRIAGE_RETURN && byte !== SPACE && byte !== TAB
      ) {
        throw new ProtocolError("no JSON object");
      }
    }
    return false;
  }

  /** Keeps the beginning of a request until the rest comes, in a buffer that doubles as it fills. */
  #keep(bytes: Bytes): void {
    const length = this.#begunLength + bytes.length;
    if (length > this.#begun.length) {
      const larger = new Uint8Array(Math.min(this.#maxBytes, Math.max(length, 2 * this.#begun.length)));
      larger.set(this.#begun.subarray(0, this.#begunLength));
      this.#begun = larger;
    }
    this.#begun.set(bytes, this.#begunLength);
    this.#begunLength = length;
  }

  #complete(bytes: Bytes): string {
    let whole = bytes;
    if (this.#begunLength > 0) {
      this.#keep(bytes);
      whole = this.#begun.subarray(0, this.#begunLength);
      this.#begun = NOTHING;
      this.#begunLength = 0;
    }
    try {
      return decoder.decode(whole);
    } catch (cause) {
      throw new ProtocolError("invalid UTF-8", { cause });
    }
  }
}
