/** The rules of promise 4: a server that has lost its lease has ended its sessions by then, and a short fault ends none. */

import { type Case, ms, OPCODE_CLOSE, RENEWAL, REPLACED, RESOLUTION_MS, TRY_AGAIN } from "./case.ts";
import { effectsOf } from "./faults.ts";
import type { FaultEvent } from "./history.ts";
import { type Connection, goneAt, type Model, name, reads } from "./model.ts";

/** So much of a lease is left when contact is lost, and so much of that is for ending the sessions and for connecting again. */
const SPARE_LEASE = 0.9 - RENEWAL;
const ENDING_MS = 850;

/** So much of a lease may go by until the servers have found a new primary. */
const FINDING_LEASE = 0.2;

/** Nothing is sent after a lease. @returns how many PINGs and PONGs a platform sent then, before its server itself ran again. */
export function judgeZombies(trial: Case, connection: Connection): number {
  const { model, leaseMs, slackMs } = trial;
  let lateHeartbeats = 0;
  for (const span of model.separations(connection.server)) {
    const leaseEnd = span.at + leaseMs;
    if (span.until < leaseEnd || connection.connectAt > span.at || goneAt(connection) < leaseEnd) continue;
    for (const { at, opcode, code } of connection.frames) {
      if (model.earliest(connection.crowd, at) < leaseEnd + RESOLUTION_MS || at > span.until + slackMs) {
        continue;
      }
      if (opcode === OPCODE_CLOSE && code === TRY_AGAIN) break;
      if (opcode > OPCODE_CLOSE) {
        lateHeartbeats++; // says nothing of the session, and was due before anything of ours
        continue;
      }
      const what = opcode === OPCODE_CLOSE ? `close ${code}` : `a frame of opcode ${opcode}`;
      trial.violation(
        4,
        at,
        `${name(connection)} is sent ${what}, ${ms(at - leaseEnd)} after its server's lease`,
      );
    }
    // one that stood still has a moment when it runs again
    const stop = model.stopsOf(connection.server).find((stop) =>
      stop.at <= leaseEnd && leaseEnd <= stop.until
    );
    const deadline = (stop?.until ?? leaseEnd) + slackMs;
    const gone = model.earliest(connection.crowd, goneAt(connection));
    if (
      connection.status === 101 && reads(connection) && gone > deadline && span.until + slackMs > deadline
    ) {
      trial.violation(
        4,
        deadline,
        `${name(connection)} outlives its server's lease by ${ms(gone - (stop?.until ?? leaseEnd))}`,
      );
    }
  }
  return lateHeartbeats;
}

/** A short fault with no other near it does not end a session. */
export function judgeShortFaults(trial: Case): void {
  const { model, leaseMs } = trial;
  for (const fault of shortFaults(trial)) {
    for (const connection of model.connections.values()) {
      if (connection.establishedAt > fault.at || connection.habit !== "good") continue;
      const gone = Math.min(connection.closeAt, connection.endAt);
      if (gone < fault.at || gone > fault.until + leaseMs || connection.leaveAt < gone) continue;
      if (connection.closeCode === REPLACED) continue;
      trial.violation(
        4,
        gone,
        `${name(connection)} is ended with ${connection.closeCode} by a short ${fault.fault}`,
      );
    }
  }
}

/** Those that leave a server time to renew its lease, and no other is near. */
function shortFaults(
  { model, leaseMs, slackMs }: { model: Model; leaseMs: number; slackMs: number },
): FaultEvent[] {
  return model.faults.filter((fault) => {
    const { moves, endsConnections } = effectsOf(fault);
    const spareMs = leaseMs * (moves ? SPARE_LEASE - FINDING_LEASE : SPARE_LEASE) - ENDING_MS - slackMs;
    if (endsConnections || fault.until - fault.at > spareMs) return false;
    return !model.faults.some((other) =>
      other !== fault && other.at < fault.until + leaseMs && other.until > fault.at - leaseMs
    );
  });
}
