/** `deno task chaos`: clients and faults at random against a cluster, and whether it kept its promises. */

import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { createProgram, flag, integer, seconds } from "../../lib/service/flags.ts";
import { runProgram } from "../../tools/run_program.ts";
import { RESOLUTION_MS } from "./case.ts";
import { check, type Verdict } from "./checker.ts";
import type { Event, FaultKind } from "./history.ts";
import { TOPOLOGIES, type Topology } from "./plan.ts";
import { run } from "./run.ts";
import { type Sabotage, SABOTAGE_KINDS } from "./sabotage.ts";

interface Flags {
  seed: string;
  duration: number;
  lease: number;
  servers: number;
  transport: TransportName;
  visitors: number;
  clients: number;
  redis: Topology;
  sabotage?: Sabotage;
  history?: string;
}

const SHOWN_VIOLATIONS = 20;

const program = createProgram(
  "chaos",
  "Does its worst to a cluster of ws-servers and checks what they promise.",
)
  .addOption(
    flag("--seed <text>", "what is random; the same seed plans the same faults", {
      default: String(Date.now() % 100_000),
    }),
  )
  .addOption(
    flag("--duration <seconds>", "how long", {
      parse: seconds({ min: 1 }),
      default: 60_000,
      defaultText: "60",
    }),
  )
  .addOption(
    flag("--lease <seconds>", "lease of the servers", {
      parse: seconds({ min: 1 }),
      default: 3_000,
      defaultText: "3",
    }),
  )
  .addOption(
    flag("--servers <count>", "processes of the cluster", { parse: integer({ min: 1 }), default: 3 }),
  )
  .addOption(
    flag("--transport <name>", "how the servers speak WebSocket").choices(["deno", "node"]).default("node"),
  )
  .addOption(
    flag("--visitors <count>", "connections tried for at a time", {
      parse: integer({ min: 1 }),
      default: 240,
    }),
  )
  .addOption(
    flag("--clients <count>", "how many client_ids they share", { parse: integer({ min: 2 }), default: 40 }),
  )
  .addOption(
    flag(
      "--redis <topology>",
      "how Redis is run, and so what becomes of it: sentinel means failovers, cluster also a slot that moves",
      { default: "single" },
    ).choices(TOPOLOGIES),
  )
  .addOption(
    flag("--sabotage <kind>", "what the servers are without, to see it found").choices(SABOTAGE_KINDS),
  )
  .addOption(flag("--history <file>", "write everything that was seen there, an event a line"))
  .action(() => main(program.opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  console.log(`seed ${flags.seed}`);
  const events = await run({
    ...flags,
    durationMs: flags.duration,
    leaseMs: flags.lease,
    topology: flags.redis,
    onRound: (text) => console.log(text),
  });
  if (flags.history) {
    await Deno.writeTextFile(
      flags.history,
      events.map((event) => JSON.stringify(event) + "\n").join(""),
    );
  }
  const verdict = check(events, { leaseMs: flags.lease, transport: flags.transport });
  report(events, verdict);
  if (verdict.violations.length > 0) Deno.exit(1);
}

function report(events: Event[], verdict: Verdict): void {
  const { violations, withinResolution, lateHeartbeats, turnedAway } = verdict;
  const count = (test: (event: Event) => boolean) => events.filter(test).length;
  const faults = new Map<FaultKind, number>();
  for (const event of events) {
    if (event.kind === "fault") faults.set(event.fault, (faults.get(event.fault) ?? 0) + 1);
  }
  const start = Math.min(...events.slice(0, 1000).map(({ at }) => at));
  console.log(`
connections  ${count((event) => event.kind === "connect")}
established  ${count((event) => event.kind === "frame" && event.text !== undefined)}
replaced     ${count((event) => event.kind === "frame" && event.code === 4409)}
sent away    ${count((event) => event.kind === "frame" && event.code === 1013)} (1013), ${
    count((event) => event.kind === "answer" && event.status === 503)
  } (503)
impostors    ${turnedAway} turned away
listings     ${count((event) => event.kind === "list")}
faults       ${[...faults].map(([fault, count]) => `${count} ${fault}`).join(", ")}
stamps       ${RESOLUTION_MS} ms, later in ${
    count((event) => event.kind === "lag")
  } lags; ${withinResolution.count} overlaps too short for them, at most ${
    withinResolution.maxMs.toFixed(1)
  } ms
heartbeats   ${lateHeartbeats} by the platform after a lease
violations   ${violations.length}`);
  for (const { promise, at, text, overlapMs } of violations.slice(0, SHOWN_VIOLATIONS)) {
    const overlap = overlapMs === undefined ? "" : ` (overlap ${overlapMs.toFixed(1)} ms)`;
    console.log(`  ${((at - start) / 1000).toFixed(3)} s  promise ${promise}: ${text}${overlap}`);
  }
}

await runProgram(program);
