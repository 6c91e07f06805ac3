/** What a hostile client may send: requests that are right, nearly right, and anything but. */

import type { Random } from "../chaos/random.ts";

const encoder = new TextEncoder();

/** Never `cancel`: it may be asked of any task, so it would end those of the good client too, and rightly. */
const REQUESTS: readonly string[] = [
  '{"type":"run","task_name":"echo","data":"text"}',
  '{"type":"run","task_name":"revers","data":"пример 👨‍👩‍👧é"}',
  '{"type":"run","task_name":"permutation","data":"\\ud83d\\u0000\\n"}',
  '{"type":"run","task_name":"no such task","data":""}',
  '{"type":"status","task_id":1}',
  '{"type":"status","task_id":1,"wait":true}',
  '{"type":"get_result","task_id":2,"wait":false}',
  '{"type":"list"}',
  '{"type":"stats"}',
];

/** What breaks parsers. */
const TOKENS: readonly string[] = [
  "{",
  "}",
  "{}",
  "[",
  '"',
  "\\",
  '\\"',
  "\n",
  "\r\n",
  "\0",
  ",",
  ":",
  "null",
  "true",
  "-1",
  "0",
  "1e309",
  "9007199254740993",
  '"__proto__":{}',
  '"constructor":1',
  '"type":"run"',
  "\u2028",
  "\uFEFF",
  "\\ud800",
];

/** Bytes that are no UTF-8: a lone continuation, an overlong form, a surrogate, beyond the last code point, cut off. */
const BROKEN_UTF8: readonly number[][] = [
  [0x80],
  [0xc0, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
];

/** Something to send, of any kind. */
export function hostileBytes(random: Random, maxRequestBytes: number): Uint8Array<ArrayBuffer> {
  const kind = random.weighted({ valid: 3, mutated: 8, noise: 3, nested: 1, long: 1, broken: 1, wrong: 2 });
  switch (kind) {
    case "valid":
      return requests(random);
    case "mutated":
      return mutate(random, requests(random));
    case "noise":
      return random.bytes(random.integer(1, 2000));
    case "nested":
      return encoder.encode('{"type":'.repeat(random.integer(1, 20_000)));
    case "long":
      return encoder.encode(
        `{"type":"run","task_name":"echo","data":"${"x".repeat(random.integer(0, 2 * maxRequestBytes))}"}`,
      );
    case "broken":
      return Uint8Array.from([
        ...encoder.encode('{"type":"run","task_name":"echo","data":"'),
        ...random.of(BROKEN_UTF8),
        ...encoder.encode('"}\n'),
      ]);
    case "wrong":
      return encoder.encode(JSON.stringify(wrongRequest(random)) + "\n");
  }
}

function requests(random: Random): Uint8Array<ArrayBuffer> {
  let text = "";
  for (let i = random.integer(1, 30); i > 0; i--) {
    text += random.of(REQUESTS) + random.of(["\n", "\r\n", "", "\n\n"]);
  }
  return encoder.encode(text);
}

/** A few changes at random places. */
function mutate(random: Random, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let mutated = bytes;
  for (let i = random.integer(1, 8); i > 0 && mutated.length > 0; i--) {
    const at = random.integer(0, mutated.length - 1);
    const end = Math.min(mutated.length, at + random.integer(1, 40));
    switch (random.of(["flip", "cut", "drop", "insert", "repeat", "byte"])) {
      case "flip":
        mutated[at]! ^= 1 << random.integer(0, 7);
        break;
      case "byte":
        mutated[at] = random.integer(0, 255);
        break;
      case "cut":
        mutated = mutated.slice(0, at);
        break;
      case "drop":
        mutated = join(mutated.subarray(0, at), mutated.subarray(end));
        break;
      case "insert":
        mutated = join(mutated.subarray(0, at), encoder.encode(random.of(TOKENS)), mutated.subarray(at));
        break;
      case "repeat":
        mutated = join(mutated.subarray(0, end), mutated.subarray(at));
    }
  }
  return mutated;
}

/** A request whose fields are of any type. */
function wrongRequest(random: Random): unknown {
  const value = () =>
    random.of<unknown>([
      null,
      true,
      0,
      -1,
      1.5,
      1e300,
      "",
      "run",
      "list",
      [],
      {},
      [[[]]],
      { type: "run" },
      "x".repeat(500),
    ]);
  const request: Record<string, unknown> = {};
  for (const field of ["type", "task_name", "data", "task_id", "wait", "extra"]) {
    if (random.next() < 0.6) {
      request[field] = field === "type" ? random.of(["run", "status", "list", value()]) : value();
    }
  }
  return request;
}

function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
