import { closest, distance } from "fastest-levenshtein";

/** More typing mistakes than this make another word. */
const MAX_DISTANCE = 3;

/**
 * The one of `words` that was probably meant by `typed`, if any.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(didYouMean("reverse", ["echo", "revers"]), "revers");
 * assert.equal(didYouMean("translate", ["echo", "revers"]), undefined);
 * ```
 */
export function didYouMean(typed: string, words: readonly string[]): string | undefined {
  if (words.length === 0) return undefined;
  const word = closest(typed.toLowerCase(), words);
  const mistakes = distance(typed.toLowerCase(), word);
  return mistakes <= MAX_DISTANCE && mistakes < word.length / 2 ? word : undefined;
}
