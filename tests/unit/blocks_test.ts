import assert from "node:assert/strict";
import { Blocks, MAX_BLOCKS } from "../../lib/sessions/registry/blocks.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("Blocks: as many as there may be and not one more, until one of them is over; who is blocked may be blocked anew", () => {
  const clock = new FakeClock();
  const blocks = new Blocks(clock);
  for (let i = 0; i < MAX_BLOCKS; i++) {
    assert.ok(blocks.add(`client ${i}`, i === 7 ? 1000 : 2000), `block ${i}`);
  }
  assert.equal(blocks.add("one more", 2000), false);
  assert.equal(blocks.leftMs("one more"), 0);
  assert.equal(blocks.add("client 8", 5000), true);
  assert.equal(blocks.leftMs("client 8"), 5000);
  clock.advance(999);
  assert.equal(blocks.add("one more", 2000), false);
  clock.advance(1);
  assert.equal(blocks.add("one more", 2000), true);
  assert.equal([...blocks].length, MAX_BLOCKS);
});
