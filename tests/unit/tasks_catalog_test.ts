import assert from "node:assert/strict";
import { CATALOG, TASK_NAMES } from "../../lib/tasks/catalog.ts";

const run = (name: string, data: string) => CATALOG.get(name)!.run(data);

Deno.test("CATALOG: the four tasks and their durations", () => {
  const durations = Object.fromEntries([...CATALOG].map(([name, { durationMs }]) => [name, durationMs]));
  assert.deepEqual(durations, { echo: 0, revers: 2_000, permutation: 5_000, too_long_echo: 20_000 });
  assert.deepEqual(TASK_NAMES, Object.keys(durations));
});

const CASES: [data: string, reversed: string, swapped: string][] = [
  ["", "", ""],
  ["a", "a", "a"],
  ["ab", "ba", "ba"],
  ["кот", "ток", "окт"],
  ["пример", "ремирп", "рпмире"],
  ["предложение из нескольких слов", "волс хикьлоксен зи еинежолдерп", "рпдеолежин езин сеокьлик хлсво"],
  ["👨‍👩‍👧é", "é👨‍👩‍👧", "é👨‍👩‍👧"],
  ["e\u0301a", "ae\u0301", "ae\u0301"], // a combining mark stays with its letter
  ["🇩🇪🇫🇷", "🇫🇷🇩🇪", "🇫🇷🇩🇪"],
  ["👍🏽x", "x👍🏽", "x👍🏽"],
  ["a\r\nb", "b\r\na", "\r\nab"], // one line end is one character
  ["\ud800a", "a\ud800", "a\ud800"], // half a surrogate pair
  ["\0\t ", " \t\0", "\t\0 "],
];

Deno.test("CATALOG: revers turns the characters a reader sees around", () => {
  for (const [data, reversed] of CASES) assert.equal(run("revers", data), reversed, JSON.stringify(data));
});

Deno.test("CATALOG: permutation swaps neighbours, the last of an odd number stays", () => {
  for (const [data, , swapped] of CASES) {
    assert.equal(run("permutation", data), swapped, JSON.stringify(data));
  }
});

Deno.test("CATALOG: both echoes return the text as it came", () => {
  for (const [data] of CASES) {
    assert.equal(run("echo", data), data);
    assert.equal(run("too_long_echo", data), data);
  }
});
