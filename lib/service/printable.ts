/** Controls of a terminal and of the direction of text, other line ends, and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * A text from elsewhere as part of one line: what would move the cursor, forge a line or turn the text around is shown,
 * in the notation of JSON, instead of obeyed. What only joins characters, as in many emoji, stays.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(printable("a\nb\x1b[2J \u202e👨‍👩‍👧"), "a\\nb\\u001b[2J \\u202e👨‍👩‍👧");
 * ```
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    const short = JSON.stringify(char).slice(1, -1); // of all these, JSON itself escapes some
    return short !== char ? short : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
