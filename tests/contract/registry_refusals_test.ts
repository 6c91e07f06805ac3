/** Whom every registry refuses: who takes over from nobody, and who comes too often; one suite, two stores. */

import assert from "node:assert/strict";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { test } from "../support/registries.ts";
import { until } from "../support/wait.ts";

test("one that takes over from nobody is refused, and nobody notices", async ({ here, there }) => {
  const holder = new TestCandidate("kim");
  here.claim(holder);
  await holder.reaches("established");
  const polite = new TestCandidate("kim", [], false);
  there.claim(polite);
  await polite.reaches("revoked");
  assert.deepEqual(polite.reason, { kind: "occupied" });
  assert.deepEqual(holder.events, ["established"]);
  assert.deepEqual(await sessionIds(there), [holder.sessionId]);
  there.release(polite); // its socket has gone
  assert.deepEqual(await sessionIds(there), [holder.sessionId]);
});

test("one that takes over from nobody has the session where nobody has it", async ({ here, there }) => {
  const first = new TestCandidate("kim", [], false);
  here.claim(first);
  await first.reaches("established");
  here.release(first);
  await until(async () => (await listed(there)).length === 0, "the entry is gone");
  const second = new TestCandidate("kim", [], false);
  there.claim(second);
  await second.reaches("established");
  const third = new TestCandidate("kim");
  here.claim(third);
  await third.reaches("established");
  assert.equal(second.reason?.kind, "replaced");
});

test("one that takes over from nobody is refused while somebody waits for the end of another", async ({ here }) => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const ending = new TestCandidate("kim");
  ending.revoke = () => ended;
  here.claim(ending);
  await ending.reaches("established");
  const waiting = new TestCandidate("kim");
  here.claim(waiting);
  const polite = new TestCandidate("kim", [], false);
  here.claim(polite);
  await polite.reaches("revoked");
  assert.deepEqual(polite.reason, { kind: "occupied" });
  assert.deepEqual(waiting.events, []);
  end();
  await waiting.reaches("established");
});

test("of many that race and take over from nobody one lives, undisturbed", async ({ here, there }) => {
  const racers = Array.from({ length: 200 }, () => new TestCandidate("kim", [], false));
  racers.forEach((racer, i) => (i % 2 ? here : there).claim(racer));
  await until(() => racers.every(({ state }) => state !== "waiting"), "each has its answer");
  const left = racers.filter(({ state }) => state === "established");
  assert.equal(left.length, 1);
  assert.deepEqual(left[0]!.events, ["established"]);
  for (const racer of racers) {
    if (racer !== left[0]) assert.deepEqual(racer.reason, { kind: "occupied" });
  }
  assert.deepEqual(await sessionIds(here), [left[0]!.sessionId]);
});

test(
  "where a minute has no room for a takeover newcomers are refused, and one of them is the first",
  async (place) => {
    const claim = async (i: number, clientId = "kim") => {
      const candidate = new TestCandidate(clientId);
      (i % 2 ? place.here : place.there).claim(candidate);
      await until(() => candidate.state !== "waiting", "it has its answer");
      return candidate;
    };
    const lucky: TestCandidate[] = [];
    for (let i = 0; i < 4; i++) lucky.push(await claim(i)); // the first takes over from nobody
    assert.deepEqual(lucky.map(({ state }) => state), ["revoked", "revoked", "revoked", "established"]);
    for (let i = 0; i < 3; i++) {
      const refused = await claim(i);
      assert.deepEqual(refused.events, ["revoked"]);
      assert.deepEqual(refused.reason, { kind: "crowded", first: i === 0 });
    }
    assert.deepEqual(await sessionIds(place.here), [lucky[3]!.sessionId], "the holder stays");
    assert.equal((await claim(0, "lee")).state, "established");
    assert.equal((await claim(1, "lee")).state, "established", "another client has a minute of its own");

    place.there.release(lucky[3]!);
    place.here.release(lucky[3]!); // whichever had it
    await until(
      async () => !(await sessionIds(place.here)).includes(lucky[3]!.sessionId),
      "the entry is gone",
    );
    assert.equal(
      (await claim(0)).state,
      "established",
      "where nobody is there is nobody to take over from",
    );
  },
  { takeoverLimit: 3 },
);
