import assert from "node:assert/strict";
import { grows, trendOf } from "../soak/trend.ts";

const NOISE = [3, -2, 5, 0, -4, 1, 2, -3, 4, -1];

Deno.test("trendOf: the line through a series, its beginning left out", () => {
  assert.deepEqual(trendOf([0, 10, 20, 30], 0), { growth: 30, start: 0 });
  assert.deepEqual(trendOf([900, 900, 5, 5, 5, 5]), { growth: 0, start: 5 });
  assert.deepEqual(trendOf([7]), { growth: 0, start: 7 });
});

Deno.test("grows: a steady rise is seen through noise, noise alone is none", () => {
  const series = (rise: number) =>
    Array.from({ length: 30 }, (_, i) => 100 + rise * i + NOISE[i % NOISE.length]!);
  assert.equal(grows(series(0), 10), false);
  assert.equal(grows(series(2), 10), true);
  assert.equal(grows(series(-2), 10), false);
});

Deno.test("grows: what is small as a whole, or small for what it is, is no trend", () => {
  assert.equal(grows([1, 2, 3, 4, 5, 6], 10), false);
  assert.equal(grows([1000, 1010, 1020, 1030, 1040, 1050], 10), false);
});
