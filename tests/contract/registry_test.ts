/** What every registry promises: one suite, two stores. */

import assert from "node:assert/strict";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { forEachRegistry } from "../support/registries.ts";
import { until } from "../support/wait.ts";

forEachRegistry((test) => {
  test("a first claim is established and listed everywhere", async ({ here, there }) => {
    const candidate = new TestCandidate("kim");
    here.claim(candidate);
    await candidate.reaches("established");
    assert.equal(here.state, "ready");
    const [entry, ...more] = await listed(there);
    assert.equal(more.length, 0);
    assert.equal(entry?.clientId, "kim");
    assert.equal(entry?.sessionId, candidate.sessionId);
    assert.equal(entry?.connectedAtMs, candidate.connectedAtMs);
    assert.match(entry!.node, /^[0-9a-f]{8}$/);
    assert.ok(entry!.epoch > 0);
  });

  test("a newer claim is established only after the older one is revoked", async ({ here, there }) => {
    const journal: string[] = [];
    const older = new TestCandidate("kim", journal);
    here.claim(older);
    await older.reaches("established");
    const newer = new TestCandidate("kim", journal);
    there.claim(newer);
    await newer.reaches("established");
    assert.deepEqual(journal, [
      `${older.sessionId} established`,
      `${older.sessionId} revoked`,
      `${newer.sessionId} established`,
    ]);
    assert.equal(older.reason?.kind, "replaced");
    assert.equal(older.reason?.kind === "replaced" && older.reason.bySessionId, newer.sessionId);
    assert.deepEqual(await sessionIds(here), [newer.sessionId]);
    assert.deepEqual(await sessionIds(there), [newer.sessionId]);
  });

  test("of many that race exactly one is left, and no two are established at once", async ({ here, there }) => {
    for (let round = 0; round < 5; round++) {
      const journal: string[] = [];
      const racers = Array.from({ length: 100 }, () => new TestCandidate("kim", journal));
      racers.forEach((racer, i) => (i % 2 ? here : there).claim(racer));
      const left = () => racers.filter(({ state }) => state !== "revoked");
      await until(() => left().length === 1 && left()[0]!.state === "established", "one racer is left");
      let established = 0;
      for (const line of journal) {
        const racer = racers.find(({ sessionId }) => line.startsWith(sessionId))!;
        if (line.endsWith(" established")) established++;
        else if (racer.events.includes("established")) established--;
        assert.ok(established <= 1, "two were established at once");
      }
      assert.deepEqual(await sessionIds(here), [left()[0]!.sessionId]);
      (racers.indexOf(left()[0]!) % 2 ? here : there).release(left()[0]!);
      await until(async () => (await listed(here)).length === 0, "the list is empty");
    }
  });

  test("the newest of several on one process wins", async ({ here }) => {
    const racers = Array.from({ length: 20 }, () => new TestCandidate("kim"));
    for (const racer of racers) here.claim(racer);
    await racers.at(-1)!.reaches("established");
    assert.deepEqual(racers.slice(0, -1).map(({ state }) => state), Array(19).fill("revoked"));
  });

  test("a release removes the entry, and a second one nothing", async ({ here, there }) => {
    const first = new TestCandidate("kim");
    here.claim(first);
    await first.reaches("established");
    here.release(first);
    await until(async () => (await listed(there)).length === 0, "the entry is gone");
    const second = new TestCandidate("kim");
    there.claim(second);
    await second.reaches("established");
    here.release(first);
    assert.deepEqual(await sessionIds(here), [second.sessionId]);
    assert.deepEqual(first.events, ["established"]);
  });

  test("the late release of a replaced session leaves its successor alone", async ({ here, there }) => {
    const older = new TestCandidate("kim");
    here.claim(older);
    await older.reaches("established");
    const newer = new TestCandidate("kim");
    there.claim(newer);
    await newer.reaches("established");
    here.release(older);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(await sessionIds(there), [newer.sessionId]);
    assert.equal(newer.state, "established");
  });

  test("one that is released while it waits is never established", async ({ here, there }) => {
    const older = new TestCandidate("kim");
    here.claim(older);
    await older.reaches("established");
    const hasty = new TestCandidate("kim");
    there.claim(hasty);
    there.release(hasty);
    await older.reaches("revoked");
    await until(async () => (await listed(here)).length === 0, "nobody is listed");
    await new Promise((resolve) => setTimeout(resolve, 300)); // longer than a repetition
    assert.deepEqual(hasty.events, []);
  });

  test("different clients do not touch each other, whatever their names", async ({ here, there }) => {
    const names = [
      "a",
      "A",
      "1",
      "2",
      "__proto__",
      "constructor",
      "two words",
      " ",
      "é",
      "e\u0301",
      "👨‍👩‍👧",
      "a|b",
      "{solo}:nodes",
    ];
    const candidates = names.map((name) => new TestCandidate(name));
    for (const candidate of candidates) here.claim(candidate);
    for (const candidate of candidates) await candidate.reaches("established");
    const entries = await listed(there);
    assert.deepEqual(new Set(entries.map(({ clientId }) => clientId)), new Set(names));
    assert.equal(entries.length, names.length);
    const epochs = candidates.map(({ sessionId }) =>
      entries.find((entry) => entry.sessionId === sessionId)!.epoch
    );
    assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b), "epochs grow with every claim");
  });

  test("a listing of thousands shows each once", async ({ here, there }) => {
    const candidates = Array.from({ length: 3000 }, (_, i) => new TestCandidate(`client ${i}`));
    for (const candidate of candidates) here.claim(candidate);
    await until(() => candidates.every(({ state }) => state === "established"), "all are established");
    assert.deepEqual((await sessionIds(there)).sort(), candidates.map(({ sessionId }) => sessionId).sort());
  });

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
});
