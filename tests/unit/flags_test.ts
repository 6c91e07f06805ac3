/** The bounds of flags, which are themselves allowed. */

import assert from "node:assert/strict";
import { integer, port, seconds } from "../../lib/service/flags.ts";

Deno.test("integer, port: both bounds are taken, and nothing beyond them", () => {
  const parse = integer({ min: 1, max: 10 });
  assert.deepEqual(["1", "10"].map(parse), [1, 10]);
  for (const text of ["0", "11", "", " 1", "1.5", "1e1", "-1", "0x1", "١"]) {
    assert.throws(() => parse(text), /Give a whole number from 1 to 10\./, JSON.stringify(text));
  }
  assert.deepEqual(["0", "65535"].map(port), [0, 65_535]);
  assert.throws(() => port("65536"), /from 0 to 65535/);
  assert.throws(() => integer({ min: 1 })("0"), /1 or more/);
});

Deno.test("seconds: both bounds are taken, fractions too, and nothing beyond them", () => {
  const parse = seconds({ min: 1, max: 60 });
  assert.deepEqual(["1", "1.0005", "60"].map(parse), [1000, 1001, 60_000]);
  for (const text of ["0.999", "60.001", "", "1.", ".5", "1e1", "-1", "Infinity"]) {
    assert.throws(
      () => parse(text),
      /Give a number of seconds, 1 or more, at most 60\./,
      JSON.stringify(text),
    );
  }
});
