/** What went wrong once, or could, each as a story of its own; and where a mechanism prevents it, what happens without it. */

import assert from "node:assert/strict";
import { type Mutant, MUTANTS } from "./mutants.ts";
import { ready, Scenario } from "./scenario.ts";

const TEN_MINUTES_MS = 600_000;

/** The same story twice: as it should end, and as it ends in a cluster that lacks a mechanism. */
function test(
  story: string,
  { rightly, mutant, wrongly }: { rightly: string; mutant: string; wrongly: string },
  body: (scenario: Scenario, right: boolean) => Promise<void>,
): void {
  Deno.test(`simulation, ${story}: ${rightly}`, async () => {
    const scenario = new Scenario();
    await body(scenario, true);
    await scenario.rests();
  });
  Deno.test(`simulation, ${story}: without ${MUTANTS[mutant]!.missing} ${wrongly}`, async () => {
    await body(new Scenario({ mutant: MUTANTS[mutant] }), false);
  });
}

/** Right without a violation, wrong with one of promise 1. */
function assertOverlap(scenario: Scenario, right: boolean): void {
  assert.equal(scenario.violations.length > 0, !right, scenario.violations.join("\n"));
  if (!right) assert.match(scenario.violations[0]!, /^promise 1/);
}

// ---- what a connection still delivers when it was given up ------------------------------------------------------------

test("a claim comes late, by a connection that was given up", {
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

// ---- an operator ends a session ---------------------------------------------------------------------------------------

test("an operator ends a session of a process that Redis has forgotten and that is out of touch", {
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

// ---- Redis's clock ----------------------------------------------------------------------------------------------------

test("Redis's clock is set back by ten minutes", {
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

test("Redis's clock is set back, and its data is lost", {
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

test("Redis's clock is set forward by half a lease while a process is cut off", {
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

test("a process joins while another is out of touch, and the data is lost", {
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

test("the data is lost while a process is out of touch that another remembers", {
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

test("a process starts on an emptied Redis that another cannot reach yet", {
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

test("two releases and what they led to are lost with the primary, and told again", {
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

test("the answer to a claim is lost, and then the data", {
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

test("a failover there and back, with no renewal between", {
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

// ---- takeovers that are not to be --------------------------------------------------------------------------------------

test("data is lost, and one that takes over from nobody comes before its holder is announced", {
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
