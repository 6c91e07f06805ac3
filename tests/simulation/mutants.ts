import type { Clock } from "../../lib/service/clock.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";
import type { Candidate } from "../../lib/sessions/registry/registry.ts";
import type { LuaReply } from "./lua.ts";
import type { FaultSet } from "./plan.ts";
import type { Violation } from "./checker.ts";

/** A way to break the cluster on purpose, from outside: what is broken is a script's text, a candidate, a clock or a command. */
export interface Mutation {
  script?: (script: string) => string;
  candidate?: (candidate: Candidate) => Candidate;
  clock?: (clock: Clock) => Clock;
  /** Runs a command of a script. */
  call?: (command: string[], nowMs: number, run: (command: string[]) => LuaReply) => LuaReply;
}

export interface Mutant {
  /** What is missing, and why it is there. */
  readonly missing: string;
  /** Which promise breaks without it. */
  readonly promise: Violation["promise"];
  readonly faults: readonly FaultSet[];
  /** Made anew for each schedule. */
  make(): Mutation;
}

/** Replaces a piece of a script; a piece that is not there any more is an error of the mutant. */
function patch(...pieces: [piece: string, by: string][]): () => Mutation {
  const patched = new Map<string, string>();
  for (const [piece] of pieces) {
    if (!Object.values(SCRIPTS).some((script) => script.includes(piece))) {
      throw new Error(`no script has ${piece}`);
    }
  }
  for (const script of Object.values(SCRIPTS)) {
    patched.set(script, pieces.reduce((text, [piece, by]) => text.replace(piece, by), script));
  }
  return () => ({ script: (script) => patched.get(script) ?? script });
}

function candidates(
  change: (candidate: Candidate) => Partial<Pick<Candidate, "establish" | "revoke" | "cut">>,
): () => Mutation {
  return () => ({
    candidate: (candidate) => ({
      clientId: candidate.clientId,
      sessionId: candidate.sessionId,
      connectedAtMs: candidate.connectedAtMs,
      takesOver: candidate.takesOver,
      establish: () => candidate.establish(),
      revoke: (reason) => candidate.revoke(reason),
      cut: () => candidate.cut(),
      deliver: (text) => candidate.deliver(text),
      ...change(candidate),
    }),
  });
}

const TIME_CHECK = `if time > tonumber(ARGV[9]) then return { "t", "" } end`;
const CONNECTION_CHECK = `renewed_by == connection and`;
const GENERATION_CHECK = `generation.id == generation_id and`;

/** By name, each safety mechanism that a cluster can be without. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "no-fence": {
    missing: "sessions that end with the lease",
    promise: 1,
    faults: ["default"],
    make: candidates((candidate) => ({
      revoke: (reason) => reason.kind === "lease-lost" ? Promise.resolve() : candidate.revoke(reason),
      cut: () => {},
    })),
  },
  "no-settling": {
    missing: "the wait for who may have sessions that lost data knew of",
    promise: 1,
    faults: ["loss"],
    make: patch([`set("settles_at", text(now + lease + overlap))`, `set("settles_at", text(now))`]),
  },
  "short-settling": {
    missing: "a whole lease for those that cannot reach Redis at first",
    promise: 1,
    faults: ["loss"],
    make: patch([
      `set("settles_at", text(now + lease + overlap))`,
      `set("settles_at", text(now + lease / 10))`,
    ]),
  },
  "no-awaiting": {
    missing: "the wait for each node that is remembered",
    promise: 1,
    faults: ["loss"],
    make: patch([`"node:" .. ARGV[i], "awaited")`, `"node:" .. ARGV[i], "announced")`]),
  },
  "no-witness": {
    missing: "the word of all other nodes that they know of one that joins",
    promise: 1,
    faults: ["default"],
    make: patch([`ready = ready and told >= tonumber(joined)`, ``]),
  },
  "no-replication-id": {
    missing: "the replication id beside the run id: a failover there and back",
    promise: 1,
    faults: ["default"],
    make: patch([`string.sub(string.match(info, "master_replid:(%x+)"), 1, 16)`, `""`]),
  },
  "no-repeats": {
    missing: "the repetition of what may have been lost",
    promise: 0,
    faults: ["default"],
    make: () => ({
      clock: (clock) => ({
        ...clock,
        after: (ms, callback) => ms === 200 ? { [Symbol.dispose]() {} } : clock.after(ms, callback),
      }),
    }),
  },
  "no-validity": {
    missing: "every check of whether a claim is still its process's word",
    promise: 2,
    faults: ["default"],
    make: patch([TIME_CHECK, ""], [CONNECTION_CHECK, ""], [GENERATION_CHECK, ""]),
  },
  "no-connection-check": {
    missing: "the check that a claim comes by the connection that renewed last",
    promise: 2,
    faults: ["default"],
    make: patch([CONNECTION_CHECK, ""], [TIME_CHECK, ""]),
  },
  "no-time-check": {
    missing: "the check that the connection of a claim was not given up yet",
    promise: 2,
    faults: ["default"],
    make: patch([TIME_CHECK, ""]),
  },
  "two-turns": {
    missing: "evidence: two turns of the event loop count as the end of a session",
    promise: 1,
    faults: ["default"],
    make: candidates((candidate) => ({
      revoke: async (reason) => {
        candidate.revoke(reason);
        await undefined;
        await undefined;
      },
    })),
  },
  "check-then-set": {
    missing: "a claim in one step: it looks who is there, and a moment later takes the place",
    promise: 1,
    faults: ["default"],
    make: () => {
      const looks = patch([
        `ipairs(parse(redis.call("HGET", KEYS[2], ARGV[1])))`,
        `ipairs(parse(redis.call("HGET.EARLIER", KEYS[2], ARGV[1])))`,
      ])();
      const earlier = new Map<string, { line: LuaReply; untilMs: number }>();
      return {
        ...looks,
        call: ([name, ...args], nowMs, run) => {
          const place = `${args[0]} ${args[1]}`;
          const before = earlier.get(place);
          if (name === "HGET.EARLIER") {
            return before && before.untilMs > nowMs ? before.line : run(["HGET", ...args]);
          }
          if (
            (name === "HSET" || name === "HDEL") && args[0]!.includes("sessions") &&
            !(before && before.untilMs > nowMs)
          ) {
            earlier.set(place, { line: run(["HGET", args[0]!, args[1]!]), untilMs: nowMs + 1 });
          }
          return run([name!, ...args]);
        },
      };
    },
  },
  "no-refusal": {
    missing: "the refusal of one that takes over from nobody",
    promise: 2,
    faults: ["default"],
    make: patch([`if newcomer and ARGV[12] == "no" then`, `if false then`]),
  },
  "early-places": {
    missing: "the wait of one that takes over from nobody for who may be announced",
    promise: 2,
    faults: ["loss"],
    make: patch([`if not settled then return { "w", "" } end`, ``]),
  },
  "held-again": {
    missing: "the difference between what is told at once and what is told again, after a rollback",
    promise: 1,
    faults: ["default"],
    make: patch([`ARGV[4] == "held" and newest.state`, `ARGV[4] ~= "dead" and newest.state`]),
  },
  "no-reckoning": {
    missing: "the time at which a session came, where it has to ask again after a loss of the data",
    promise: 2,
    faults: ["default"],
    make: patch([`text(ARGV[10] == "" and`, `text(true and`]),
  },
  "clock-of-redis": {
    missing: "a clock of the leases that a step of Redis's clock forward does not carry along",
    promise: 1,
    faults: ["default", "clock"],
    make: patch([`math.min(passed, tonumber(generation.lease) / 20)`, `passed`]),
  },
  "clock-back": {
    missing: "a clock of the leases that goes on when Redis's clock is set back",
    promise: 0,
    faults: ["default", "clock"],
    make: patch([`now = tonumber(generation.now) + math.floor(`, `now = time + 0 * math.floor(`]),
  },
  "ended-when-asked": {
    missing: "the wait for the end of a session that an operator ends",
    promise: 1,
    faults: ["default", "operator"],
    make: patch([`left and "left" or nobody, until_epoch`, `nobody, until_epoch`]),
  },
  "ended-unsettled": {
    missing: "the doubt, after a loss of the data, whether there is another session to end",
    promise: 1,
    faults: ["default", "operator"],
    make: patch([`settled and "nobody" or "unsettled"`, `"nobody"`]),
  },
  "epochs-back": {
    missing: "epochs that do not go back when Redis's clock is set back",
    promise: 2,
    faults: ["default", "clock"],
    make: patch([`math.max(last + 1, epoch_now)`, `time * 1000`]),
  },
};
