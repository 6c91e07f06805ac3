import { ProgramError } from "../../service/errors.ts";
import { EXIT_USAGE } from "../../service/flags.ts";
import { reasonOf } from "./failures.ts";

/** More than any server takes; an endless input must not fill the memory. */
const MAX_INPUT_BYTES = 64 * 1024 * 1024;

/** What bounds the reading of a text. */
export interface ReadTextOptions {
  /** @default 64 MiB */
  maxBytes?: number;
  /** Ends the reading. */
  signal?: AbortSignal;
}

/**
 * Reads a stream to its end as text, exactly as it is: a line end at the end stays.
 *
 * @throws {ProgramError} when it is longer than `maxBytes`, is not UTF-8 or cannot be read.
 * @throws the reason of the signal.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(await readText(ReadableStream.from([new TextEncoder().encode("при"), new TextEncoder().encode("вет\n")])), "привет\n");
 * await assert.rejects(readText(ReadableStream.from([Uint8Array.of(0xff)])), /not UTF-8/);
 * ```
 */
export async function readText(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  { maxBytes = MAX_INPUT_BYTES, signal }: ReadTextOptions = {},
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pieces: string[] = [];
  let bytes = 0;
  try {
    // a pipe, because its signal ends a read that waits for a person at a terminal
    for await (const chunk of stream.pipeThrough(new TransformStream(), { signal })) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new ProgramError(`standard input is longer than ${maxBytes} bytes; give a task less at once`, {
          exitCode: EXIT_USAGE,
        });
      }
      pieces.push(decoder.decode(chunk, { stream: true }));
    }
    pieces.push(decoder.decode());
  } catch (error) {
    if (signal?.aborted || error instanceof ProgramError) throw error;
    const text = error instanceof TypeError
      ? "standard input is not UTF-8 text; convert it first, with iconv for example"
      : `cannot read standard input: ${reasonOf(error)}; give a file or a pipe`;
    throw new ProgramError(text, { cause: error, exitCode: EXIT_USAGE });
  }
  return pieces.join("");
}
