/** What operators, clients and processes do, as stories of their own; and where a mechanism prevents something, what happens without it. */

import assert from "node:assert/strict";
import { type Mutant, MUTANTS } from "./mutants.ts";
import { Scenario } from "./scenario.ts";
import { assertOverlap, testStory } from "./story.ts";

// ---- an operator ends a session ---------------------------------------------------------------------------------------

testStory("an operator ends a session of a process that Redis has forgotten and that is out of touch", {
  rightly: "it is confirmed when the lease of that process is over",
  mutant: "ended-unsettled",
  wrongly: "it is confirmed while the session lives on",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  const kim = await scenario.established(a!, "kim");
  scenario.way(a!, "stall");
  scenario.redis.flush();
  await scenario.pass(100);
  let confirmedAtMs = 0;
  b!.end("kim").then(() => confirmedAtMs = scenario.nowMs);
  await scenario.until(() => confirmedAtMs > 0, "it is confirmed");
  assert.equal(kim.endedAtMs <= confirmedAtMs, right);
  assertOverlap(scenario, right);
  scenario.way(a!, "open");
});

// ---- takeovers that are not to be --------------------------------------------------------------------------------------

testStory("data is lost, and one that takes over from nobody comes before its holder is announced", {
  rightly: "it is refused, and the holder is left alone",
  mutant: "early-places",
  wrongly: "the holder is replaced",
}, async (scenario, right) => {
  const [a, b] = await scenario.started(2);
  const holder = await scenario.established(a!, "kim");
  scenario.way(a!, "stall");
  scenario.redis.flush();
  await scenario.pass(700); // b has told what it knows
  const polite = b!.connect("kim", false);
  await scenario.pass(100);
  assert.deepEqual([holder.revoked, polite.revoked], [undefined, undefined], "it has to wait");
  scenario.way(a!, "open");
  await scenario.until(() => [holder, polite].some(({ revoked }) => revoked), "one of them goes");
  assert.equal(holder.revoked?.kind, right ? undefined : "replaced");
  assert.equal(polite.revoked?.kind, right ? "occupied" : undefined);
});

Deno.test("simulation, a process dies: one that takes over from nobody has its client's session, but not before its lease is over", async () => {
  const scenario = new Scenario();
  const [a, b] = await scenario.started(2);
  await scenario.established(a!, "kim");
  a!.kill();
  const early = b!.connect("kim", false);
  await scenario.until(() => early.revoked !== undefined, "it has its answer");
  assert.equal(early.revoked?.kind, "occupied");
  await scenario.pass(1.1 * scenario.leaseMs);
  const late = b!.connect("kim", false);
  await scenario.until(() => late.established, "it has the place of the dead", scenario.leaseMs / 10);
  await scenario.rests();
});

Deno.test("simulation, data is lost: one that takes over from nobody has the session of a client that nobody has", async () => {
  const scenario = new Scenario();
  const [a, b] = await scenario.started(2);
  scenario.way(a!, "stall");
  scenario.redis.flush();
  await scenario.pass(700);
  const racers = Array.from({ length: 20 }, () => b!.connect("kim", false));
  await scenario.until(() => racers.every((each) => each.established || each.revoked), "each has its answer");
  assert.equal(racers.filter(({ established }) => established).length, 1);
  scenario.way(a!, "open");
  await scenario.rests();
});

Deno.test("simulation, two programs push each other out: ten times a minute, and one is told first", async () => {
  const scenario = new Scenario({ takeoverLimit: 10 });
  const processes = await scenario.started(2);
  const takeoversAtMs: number[] = [];
  const refusals: boolean[] = [];
  let over = false;
  const compete = (i: number) => {
    if (over) return;
    const session = processes[i]!.connect("kim");
    session.onOver = () => {
      if (session.revoked?.kind === "crowded") refusals.push(session.revoked.first);
      else takeoversAtMs.push(scenario.nowMs);
      processes[i]!.clock.after(100, () => compete(i));
    };
  };
  compete(0);
  compete(1);
  await scenario.pass(200_000);
  over = true;
  for (const atMs of takeoversAtMs) {
    const within = takeoversAtMs.filter((other) => other >= atMs && other < atMs + 59_000); // each ends a little later
    assert.ok(within.length <= 10, `${within.length} takeovers within a minute`);
  }
  assert.ok(takeoversAtMs.length > 30, "the next minute has room again");
  assert.deepEqual(refusals.filter(Boolean), [true], "it is said once");
  await scenario.pass(121_000);
  assert.equal(scenario.redis.data.run(["GET", "{solo}:takeovers:kim"], scenario.redis.timeMs), null);
  await scenario.rests();
});

Deno.test("simulation, an operator ends a session whose end never becomes evident: that is said in the end", async () => {
  const costs = { askMs: 0.1, cutMs: 0.1, evidenceMs: () => 1e9 };
  const scenario = new Scenario({ costs });
  const [a, b] = await scenario.started(2);
  const kim = await scenario.established(a!, "kim");
  let kind: string | undefined;
  b!.registry!.end("kim").then((result) => kind = result.kind);
  await scenario.until(() => kim.revoked !== undefined, "it is told to go");
  await scenario.until(() => kind !== undefined, "it is answered");
  assert.equal(kind, "unconfirmed");
  assert.ok(!kim.over);
});

// ---- processes --------------------------------------------------------------------------------------------------------

Deno.test("simulation, ending a session fails: it is cut, and the others end as they should", async () => {
  const mutant: Mutant = {
    ...MUTANTS["no-fence"]!,
    make: () => ({
      candidate: (candidate) => ({
        clientId: candidate.clientId,
        sessionId: candidate.sessionId,
        connectedAtMs: candidate.connectedAtMs,
        takesOver: candidate.takesOver,
        establish: () => candidate.establish(),
        revoke() {
          throw new Error("the socket is in no state to be closed");
        },
        cut: () => candidate.cut(),
        deliver: (text) => candidate.deliver(text),
      }),
    }),
  };
  const scenario = new Scenario({ mutant });
  const [a, b] = await scenario.started(2);
  const kim = await scenario.established(a!, "kim");
  await scenario.established(b!, "kim");
  assert.ok(kim.over);
  const others = [await scenario.established(a!, "lee"), await scenario.established(a!, "pat")];
  scenario.way(a!, "cut");
  await scenario.pass(scenario.leaseMs);
  assert.ok(others.every(({ over }) => over));
  scenario.way(a!, "open");
  await scenario.rests();
});

for (const leaseMs of [1000, 10_000]) {
  Deno.test(`simulation, a process with 9,500 sessions and a lease of ${leaseMs} ms loses Redis: they end before it`, async () => {
    const costs = { askMs: 0.26, cutMs: 0.04, evidenceMs: () => 1 };
    const scenario = new Scenario({ leaseMs, costs });
    const [a, b] = await scenario.started(2);
    const sessions = Array.from({ length: 9_500 }, (_, i) => a!.connect(`c${i}`));
    await scenario.pass(leaseMs / 2);
    assert.ok(sessions.every(({ established }) => established));
    scenario.way(a!, "cut");
    const heirs = [b!.connect("c0"), b!.connect("c9499")];
    await scenario.until(() => heirs.every(({ established }) => established), "others have them");
    assert.ok(sessions.every(({ endedAtMs }) => endedAtMs <= scenario.nowMs));
    assert.deepEqual(scenario.violations, []);
    const asked = sessions.filter(({ revoked }) => revoked).length;
    assert.equal(asked === 9_500, leaseMs === 10_000, `${asked} were told why`);
  });
}

Deno.test("simulation, more sessions than a lease can end: the rest is turned away", async () => {
  const scenario = new Scenario({ leaseMs: 1000 });
  const [a] = await scenario.started(1);
  const sessions = Array.from({ length: 9_700 }, (_, i) => a!.connect(`c${i}`));
  assert.ok(sessions.slice(0, 9_500).every(({ revoked }) => !revoked));
  assert.deepEqual(sessions.at(-1)!.revoked, { kind: "lease-lost" });
});

Deno.test("simulation, a process stands still for longer than its lease: its sessions end before anything else", async () => {
  const scenario = new Scenario({ leaseMs: 2000 });
  const [a, b] = await scenario.started(2);
  const kim = await scenario.established(a!, "kim");
  a!.freeze();
  await scenario.established(b!, "kim");
  a!.thaw();
  await scenario.pass(0.5);
  assert.ok(kim.over);
  await scenario.rests();
});

Deno.test("simulation, a machine is suspended for longer than the lease, in which timers stand still: its sessions end first", async () => {
  const scenario = new Scenario();
  const [a] = await scenario.started(1);
  const kim = await scenario.established(a!, "kim");
  a!.setWallClock(scenario.leaseMs); // all that tells of it
  const late = a!.connect("kim");
  assert.ok(kim.over, "its session has ended before anything else is done");
  assert.deepEqual(late.revoked, { kind: "lease-lost" });
  await scenario.rests();
});

Deno.test("simulation, Redis's clock is set forward while a process stands still: it outlives its own lease, and no session does", async () => {
  const scenario = new Scenario();
  const [a, b] = await scenario.started(2);
  const kim = await scenario.established(a!, "kim");
  a!.freeze();
  scenario.redis.setClock(scenario.leaseMs / 2);
  await scenario.established(b!, "kim");
  a!.thaw();
  await scenario.pass(0.5);
  assert.ok(kim.over);
  await scenario.rests();
});

Deno.test("simulation, a process with another lease than the others: it gets none, and ends", async () => {
  const scenario = new Scenario({ leaseMs: 2000 });
  await scenario.started(1);
  const other = scenario.join(5000);
  await scenario.pass(5900);
  assert.ok(!other.alive);
});
