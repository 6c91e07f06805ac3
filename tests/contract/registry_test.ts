/** What every registry promises of claims and listings: one suite, two stores. */

import assert from "node:assert/strict";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { established, test } from "../support/registries.ts";
import { until } from "../support/wait.ts";

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
  here.release(await established(here, "lee")); // what this process tells the store it tells in order
  await until(async () => (await listed(there)).length === 1, "the other client has left");
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
  const next = await established(here, "kim"); // it would have had its turn before
  assert.deepEqual(hasty.events, []);
  assert.deepEqual(next.events, ["established"]);
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
