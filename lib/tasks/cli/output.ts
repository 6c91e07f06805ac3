import { ProgramError } from "../../service/errors.ts";
import { reasonOf } from "./failures.ts";

/** Takes bytes, perhaps only some of them: `Deno.stdout`. */
export interface Target {
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes a text to its end, however slow its reader is. One that leaves early wants no more of it, which is no error.
 *
 * Not with `console.log`: as long as nobody reads, that hears neither a signal nor the end of `--timeout`. A pipe that is
 * set not to block is an error where it is full: Deno 2.9.6 does not say how much it has written by then.
 *
 * @param signal Ends the writing.
 * @throws {ProgramError} when it cannot be written, as on a full disk.
 * @throws the reason of the signal.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * let written = "";
 * const target = { write: (bytes: Uint8Array) => Promise.resolve(written += String.fromCharCode(bytes[0]!)).then(() => 1) };
 * await writeText("hello\n", target);
 * assert.equal(written, "hello\n");
 * ```
 */
export async function writeText(text: string, target: Target, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const bytes = new TextEncoder().encode(text);
  const { promise: end, reject } = Promise.withResolvers<never>();
  end.catch(() => {}); // nobody waits for it when the text is written
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += await Promise.race([target.write(bytes.subarray(sent)), end]);
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof Deno.errors.BrokenPipe) return;
    const text = `cannot write the answer: ${reasonOf(error)}; ask again, with another place for it`;
    throw new ProgramError(text, { cause: error });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
