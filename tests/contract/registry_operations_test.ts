/** What every registry promises of operations on one client: one suite, two stores. */

import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { listed, sessionIds, TestCandidate } from "../support/candidate.ts";
import { established, test } from "../support/registries.ts";
import { until } from "../support/wait.ts";

test("who is looked up is found as in the listing, and nobody else", async ({ here, there }) => {
  assert.equal(await there.find("kim"), undefined);
  for (const clientId of ["kim", "lee", "two words", "a|b", "__proto__"]) await established(here, clientId);
  const entries = await listed(here);
  assert.equal(entries.length, 5);
  for (const { clientId, sessionId, node, epoch, connectedAtMs } of entries) {
    assert.deepEqual(await there.find(clientId), { clientId, sessionId, node, epoch, connectedAtMs });
  }
  assert.equal(await there.find("Kim"), undefined);
});

test("a session that is ended is told so, and its end is evident when that is answered", async (place) => {
  const { here, there } = place;
  const lee = await established(here, "lee");
  const kim = await established(here, "kim");
  const evidence = Promise.withResolvers<void>();
  kim.evidence = evidence.promise;
  let answered = false;
  const end = there.end("kim").then((result) => {
    answered = true;
    return result;
  });
  await kim.reaches("revoked");
  assert.deepEqual(kim.reason, { kind: "ended" });
  await new Promise((resolve) => setTimeout(resolve, 300)); // longer than a repetition
  assert.equal(answered, false, "answered before there was evidence");
  evidence.resolve();
  assert.deepEqual(await end, { kind: "ended" });
  assert.deepEqual(await sessionIds(here), [lee.sessionId]);
  assert.deepEqual(kim.events, ["established", "revoked"]);
  const next = await established(there, "kim");
  assert.deepEqual(await there.find("kim").then((entry) => entry?.sessionId), next.sessionId);
});

test("an end ends those that wait, too, and none of them has its turn", async ({ here, there }) => {
  const kim = await established(here, "kim");
  const evidence = Promise.withResolvers<void>();
  kim.evidence = evidence.promise;
  const evidenceOfWaiting = Promise.withResolvers<void>();
  const waiting = [here, there, here].map((registry) => {
    const candidate = new TestCandidate("kim");
    candidate.evidence = evidenceOfWaiting.promise;
    registry.claim(candidate);
    return candidate;
  });
  await kim.reaches("revoked");
  const end = there.end("kim");
  for (const candidate of waiting) await candidate.reaches("revoked");
  evidence.resolve();
  await nextTurn(); // where a place becomes free at once it is free now
  evidenceOfWaiting.resolve();
  assert.deepEqual(await end, { kind: "ended" });
  assert.deepEqual(waiting.map(({ events }) => events), [["revoked"], ["revoked"], ["revoked"]]);
  assert.equal(await here.find("kim"), undefined);
});

test("an end that names a session ends that one, and one that waits has its turn", async ({ here, there }) => {
  const kim = await established(here, "kim");
  const evidence = Promise.withResolvers<void>();
  kim.evidence = evidence.promise;
  const successor = new TestCandidate("kim");
  there.claim(successor);
  await kim.reaches("revoked");
  assert.deepEqual(await there.end("kim", { condition: [successor.sessionId] }), { kind: "other" });
  const end = there.end("kim", { condition: ["x", kim.sessionId] });
  evidence.resolve();
  assert.deepEqual(await end, { kind: "ended" });
  await successor.reaches("established");
  assert.deepEqual(await there.end("kim", { condition: [kim.sessionId] }), { kind: "other" });
  assert.deepEqual(await here.end("kim", { condition: "*" }), { kind: "ended" });
  await successor.reaches("revoked");
});

test("where nobody is there is nobody to end or to write to", async ({ here }) => {
  assert.deepEqual(await here.end("kim"), { kind: "nobody" });
  assert.deepEqual(await here.end("kim", { condition: "*" }), { kind: "nobody" });
  assert.deepEqual(await here.end("kim", { condition: ["x"], blockMs: 60_000 }), { kind: "nobody" });
  assert.equal(here.blockedMs("kim"), 0, "a condition that is not met blocks nobody");
  assert.deepEqual(await here.send("kim", "hello"), { kind: "nobody" });
});

test("a client that is blocked has no session anywhere, until the block is over", async ({ here, there }) => {
  const kim = await established(here, "kim");
  assert.deepEqual(await there.end("kim", { blockMs: 86_400_000 }), { kind: "ended" });
  assert.equal(kim.state, "revoked");
  for (const registry of [here, there]) {
    const refused = new TestCandidate("kim");
    registry.claim(refused);
    await refused.reaches("revoked");
    assert.deepEqual(refused.reason, { kind: "blocked" });
    assert.deepEqual(refused.events, ["revoked"]);
    await until(() => registry.blockedMs("kim") > 80_000_000, "it is known how long it is blocked");
    assert.equal(registry.blockedMs("lee"), 0);
  }
  await established(here, "lee");
  assert.deepEqual(await here.end("kim", { blockMs: 1 }), { kind: "nobody" }, "a shorter one replaces it");
  await until(() => here.blockedMs("kim") === 0 && there.blockedMs("kim") === 0, "the block is over");
  await until(async () => {
    const again = new TestCandidate("kim");
    there.claim(again);
    await until(() => again.events.length > 0, "it is decided");
    return again.state === "established";
  }, "the client is let in");
});

test("a text is sent once, to the session that is established", async ({ here, there }) => {
  const kim = await established(here, "kim");
  const text = "two words\n👋 " + "я".repeat(30_000) + "|";
  assert.deepEqual(await there.send("kim", text), { kind: "sent", sessionId: kim.sessionId });
  assert.deepEqual(kim.texts, [text]);
  assert.deepEqual(await there.send("kim", " ", [kim.sessionId]), {
    kind: "sent",
    sessionId: kim.sessionId,
  });
  assert.deepEqual(await there.send("kim", "no", ["x"]), { kind: "other" });
  for (const delivery of ["full", "unknown"] as const) {
    kim.delivery = delivery;
    assert.deepEqual(await there.send("kim", delivery), { kind: delivery });
  }
  assert.deepEqual(kim.texts, [text, " ", "full", "unknown"]);
});

test("a text during a takeover goes to the newer session, and never to one that was told to go", async (place) => {
  const { here, there } = place;
  const older = await established(here, "kim");
  const evidence = Promise.withResolvers<void>();
  older.evidence = evidence.promise;
  const newer = new TestCandidate("kim");
  there.claim(newer);
  await older.reaches("revoked");
  let answered = false;
  const sent = here.send("kim", "hello").finally(() => answered = true);
  await new Promise((resolve) => setTimeout(resolve, 300)); // time to find the older one, which was told to go
  assert.equal(answered, false, "answered while nobody is established who was not told to go");
  evidence.resolve();
  assert.deepEqual(await sent, { kind: "sent", sessionId: newer.sessionId });
  assert.deepEqual([older.texts, newer.texts], [[], ["hello"]]);
  assert.deepEqual(newer.events, ["established"]);
});
