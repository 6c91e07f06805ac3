/** What `deno test` prints, read. */

import { stripVTControlCharacters } from "node:util";

/** How a run of `deno test` ended. */
export interface Result {
  passed: number;
  failed: number;
  /** What it said of the tests that failed: why, as far as there is room, and the names of all. Empty if none did. */
  report: string;
}

/** How much is kept of why tests failed: the first errors tell most, and CI shows the end of a log only. */
const REPORT_CHARS = 5_000;

/** Its last words. */
const CLOSING = /^(?:ok|FAILED) \| (\d+) passed.* \| (\d+) failed/gm;

/** The headings of why tests failed, and of their names. */
const ERRORS = "\n ERRORS \n";
const FAILURES = "\n FAILURES \n";

/**
 * Reads what `deno test` printed. One that ended badly counts as a failure even if no test did, as after a crash: its last
 * words are the report then.
 *
 * @param success whether its exit code was 0
 */
export function resultOf(output: string, success: boolean): Result {
  const text = stripVTControlCharacters(output);
  const closing = [...text.matchAll(CLOSING)].at(-1);
  const [, passed = 0, failed = 0] = closing ?? [];
  if (success) return { passed: Number(passed), failed: Number(failed), report: "" };
  return {
    passed: Number(passed),
    failed: Math.max(Number(failed), 1),
    report: reportOf(text.slice(0, closing?.index)).trim(),
  };
}

function reportOf(text: string): string {
  const errors = text.indexOf(ERRORS);
  if (errors === -1) return text.slice(-REPORT_CHARS);
  const failures = text.lastIndexOf(FAILURES);
  const reasons = text.slice(errors + ERRORS.length, failures);
  const left = reasons.length - REPORT_CHARS;
  const shown = left > 0
    ? `${reasons.slice(0, REPORT_CHARS)} …\n\n(${left} more characters stand above)\n`
    : reasons;
  return shown + text.slice(failures);
}
