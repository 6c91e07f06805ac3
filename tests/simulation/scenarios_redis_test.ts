/** What Redis goes through, and what connections to it still deliver, as stories of their own; and where a mechanism prevents something, what happens without it. */

import assert from "node:assert/strict";
import { ready, Scenario } from "./scenario.ts";
import { assertOverlap, testStory } from "./story.ts";

const TEN_MINUTES_MS = 600_000;

// ---- what a connection still delivers when it was given up ------------------------------------------------------------

testStory("a claim comes late, by a connection that was given up", {
  rightly: "it has no effect",
  mutant: "no-validity",
  wrongly: "it pushes out a live session",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  const letGo = scenario.hold(a!);
  const old = a!.connect("kim");
  await scenario.until(() => a!.options.way.count > 1 && ready(a!), "a has another connection");
  old.close();
  await scenario.pass(100);
  const kim = await scenario.established(b!, "kim");
  letGo();
  await scenario.pass(1000);
  assert.equal(kim.revoked?.kind, right ? undefined : "replaced");
});

Deno.test("simulation, Redis forgets its scripts as a session comes and goes: nothing is left behind", async () => {
  const scenario = new Scenario();
  const [a] = await scenario.started(1);
  scenario.redis.forgetScripts();
  a!.connect("kim").close();
  await scenario.pass(5000);
  assert.deepEqual(scenario.places, []);
  await scenario.rests();
});

// ---- Redis's clock ----------------------------------------------------------------------------------------------------

testStory("Redis's clock is set back by ten minutes", {
  rightly: "newcomers do not wait",
  mutant: "clock-back",
  wrongly: "they wait until it has caught up",
}, async (scenario, right) => {
  const [a] = await scenario.started(1);
  scenario.redis.setClock(-TEN_MINUTES_MS);
  const kim = a!.connect("kim");
  await scenario.pass(1000);
  assert.equal(kim.established, right);
});

Deno.test("simulation, Redis's clock is set back as a process dies: its lease is not prolonged", async () => {
  const scenario = new Scenario();
  const [a, b] = await scenario.started(2);
  await scenario.established(a!, "kim");
  a!.kill();
  scenario.redis.setClock(-TEN_MINUTES_MS);
  const kim = b!.connect("kim");
  await scenario.until(() => kim.established, "it has the place of the dead", 1.2 * scenario.leaseMs);
  await scenario.rests();
});

testStory("Redis's clock is set back, and its data is lost", {
  rightly: "the newest wins",
  mutant: "epochs-back",
  wrongly: "an older one does",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  const older = await scenario.established(a!, "kim");
  scenario.redis.setClock(-TEN_MINUTES_MS);
  scenario.way(a!, "stall");
  scenario.redis.flush();
  await scenario.pass(700); // b has told what it knows
  const newer = b!.connect("kim");
  await scenario.pass(100);
  scenario.way(a!, "open");
  await scenario.until(() => [older, newer].some(({ revoked }) => revoked), "one of them goes");
  assert.equal((right ? older : newer).revoked?.kind, "replaced");
});

testStory("Redis's clock is set forward by half a lease while a process is cut off", {
  rightly: "its sessions are respected until it has ended them",
  mutant: "clock-of-redis",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  await scenario.established(a!, "kim");
  scenario.way(a!, "cut");
  scenario.redis.setClock(scenario.leaseMs / 2);
  await scenario.established(b!, "kim");
  assertOverlap(scenario, right);
  scenario.way(a!, "open");
});

// ---- what is remembered when data was lost ------------------------------------------------------------------------------

testStory("a process joins while another is out of touch, and the data is lost", {
  rightly: "it has taken no session that the other could give away",
  mutant: "no-witness",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a] = await scenario.started(1);
  scenario.way(a!, "stall");
  const n = scenario.join();
  await scenario.until(() => n.registry !== undefined, "it serves");
  const kim = n.connect("kim");
  await scenario.pass(500);
  assert.equal(kim.established, !right);
  scenario.way(n, "cut");
  scenario.redis.flush();
  scenario.way(a!, "open");
  await scenario.established(a!, "kim");
  assertOverlap(scenario, right);
  scenario.way(n, "open");
});

testStory("the data is lost while a process is out of touch that another remembers", {
  rightly: "its sessions are respected until it has ended them",
  mutant: "no-awaiting",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  await scenario.established(a!, "kim");
  scenario.way(a!, "cut");
  scenario.redis.flush();
  await scenario.established(b!, "kim");
  assertOverlap(scenario, right);
  scenario.way(a!, "open");
});

testStory("a process starts on an emptied Redis that another cannot reach yet", {
  rightly: "its clients wait for a lease",
  mutant: "short-settling",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a] = await scenario.started(1);
  await scenario.established(a!, "kim");
  scenario.way(a!, "cut");
  scenario.redis.flush();
  const n = scenario.join();
  await scenario.until(() => n.registry !== undefined, "it serves");
  await scenario.established(n, "kim");
  assertOverlap(scenario, right);
  scenario.way(a!, "open");
});

testStory("two releases and what they led to are lost with the primary, and told again", {
  rightly: "nobody takes that for a turn",
  mutant: "held-again",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a, b, c] = await scenario.started(3);
  await scenario.established(a!, "kim");
  const second = b!.connect("kim");
  await scenario.until(() => scenario.places.length === 2, "two are in line");
  const lagging = scenario.redis.data.clone();
  await scenario.until(() => second.established, "the second has its turn");
  const third = await scenario.established(c!, "kim");
  scenario.redis.stop();
  scenario.way(c!, "cut");
  scenario.redis.start(lagging); // a replica that knows neither of the two ends, nor the third
  await scenario.pass(1500);
  await scenario.established(b!, "kim");
  assert.equal(third.over, right, "the third has to be waited for");
  assertOverlap(scenario, right);
  scenario.way(c!, "open");
});

testStory("the answer to a claim is lost, and then the data", {
  rightly: "it takes its place before who came later",
  mutant: "no-reckoning",
  wrongly: "it replaces who came later",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  scenario.way(a!, "slow");
  const older = a!.connect("kim");
  await scenario.until(() => scenario.places.length === 1, "the claim has arrived");
  scenario.hold(a!); // the answer; a has to make another connection
  scenario.way(a!, "open");
  await scenario.pass(500);
  const newer = b!.connect("kim");
  await scenario.pass(500);
  scenario.redis.flush();
  await scenario.until(() => [older, newer].some(({ revoked }) => revoked), "one of them goes");
  assert.equal((right ? older : newer).revoked?.kind, "replaced");
});

testStory("a failover there and back, with no renewal between", {
  rightly: "it is noticed",
  mutant: "no-replication-id",
  wrongly: "there are two",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  const lagging = scenario.redis.data.clone();
  const { runId } = scenario.redis;
  await scenario.established(a!, "kim");
  scenario.way(a!, "cut");
  scenario.redis.stop();
  scenario.redis.start(lagging, runId); // it is the first one again, with what the other one had
  await scenario.established(b!, "kim");
  assertOverlap(scenario, right);
  scenario.way(a!, "open");
});

Deno.test("simulation, the answer to a claim and a new generation come together: the session is known as established", async () => {
  const scenario = new Scenario();
  const [a] = await scenario.started(1);
  scenario.way(a!, "slow");
  const kim = a!.connect("kim");
  await scenario.until(() => scenario.places.length === 1, "the claim has arrived");
  scenario.way(a!, "stall");
  scenario.redis.flush();
  await scenario.pass(600); // a renewal waits beside the answer
  scenario.way(a!, "open");
  await scenario.until(() => kim.established, "it has its session");
  await scenario.rests();
});

Deno.test("simulation, a Redis that has never seen the service: the first process takes sessions after a lease", async () => {
  const scenario = new Scenario();
  const a = scenario.join();
  await scenario.pass(scenario.leaseMs * 0.95);
  assert.ok(!ready(a));
  await scenario.until(() => ready(a), "it is ready", scenario.leaseMs * 0.2);
});
