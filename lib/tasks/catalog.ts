/** The predefined tasks: what each does with its text, and how long it pretends to take. */

/** One kind of task. */
export interface TaskKind {
  /** The simulated duration; the work itself comes on top. */
  readonly durationMs: number;
  /** Turns the data of the task into its result. */
  readonly run: (data: string) => string;
  /** Whether `run` takes any work: not where the result is the data. */
  readonly works: boolean;
}

/**
 * Every kind of task by its name.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(CATALOG.get("revers")?.run("пример"), "ремирп");
 * assert.equal(CATALOG.get("permutation")?.run("кот"), "окт");
 * ```
 */
export const CATALOG: ReadonlyMap<string, TaskKind> = new Map([
  ["echo", { durationMs: 0, run: same, works: false }],
  ["revers", { durationMs: 2_000, run: reverse, works: true }],
  ["permutation", { durationMs: 5_000, run: swapPairs, works: true }],
  ["too_long_echo", { durationMs: 20_000, run: same, works: false }],
]);

/** The names in the catalogue. */
export const TASK_NAMES: readonly string[] = [...CATALOG.keys()];

/** Grapheme clusters, what a reader takes for one character, have the same boundaries in every language. */
const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

function charactersOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

function same(text: string): string {
  return text;
}

function reverse(text: string): string {
  return charactersOf(text).reverse().join("");
}

/** Swaps the characters at odd places with their right neighbours; the last of an odd number stays. */
function swapPairs(text: string): string {
  const characters = charactersOf(text);
  for (let i = 0; i + 1 < characters.length; i += 2) {
    [characters[i], characters[i + 1]] = [characters[i + 1]!, characters[i]!];
  }
  return characters.join("");
}
