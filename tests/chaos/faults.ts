/** What each fault may do to the promises, for the checker. */

import type { FaultEvent, FaultKind } from "./history.ts";

interface Effects {
  /** No word passes between Redis and this server, or any of them. */
  separates?: "one" | "all";
  /** What was on its way meanwhile still arrives when it is over. */
  late?: true;
  /** What had gone may be back: Redis goes on with older data, or nobody could tell it meanwhile what has gone. */
  bringsBack?: true;
  /** When it is over, the servers have yet to find the new primary. */
  moves?: true;
  /** It ends connections by its very nature, be it as short as it may. */
  endsConnections?: true;
}

const EFFECTS: Readonly<Record<FaultKind, Effects>> = {
  kill: { separates: "one", endsConnections: true },
  stop: { separates: "one" },
  cut: { separates: "one" },
  stall: { separates: "one", late: true },
  delay: { late: true },
  "redis-stop": { separates: "all", late: true },
  "redis-restart": { separates: "all", bringsBack: true },
  "redis-rollback": { separates: "all", bringsBack: true },
  "redis-loss": { separates: "all" },
  "redis-flush": {},
  "redis-failover-death": { separates: "all", bringsBack: true, moves: true },
  "redis-failover-stop": { separates: "all", bringsBack: true, moves: true },
  "redis-failover-cut": { bringsBack: true, moves: true },
  "redis-failover-force": { bringsBack: true, moves: true },
  "redis-migrate": { separates: "all", bringsBack: true, moves: true },
  "redis-migrate-death": { separates: "all", bringsBack: true, moves: true },
  "clients-stop": { endsConnections: true },
};

export function effectsOf({ fault }: Pick<FaultEvent, "fault">): Effects {
  return EFFECTS[fault];
}

/** When no word passed between a server and Redis for a fault; `undefined` where some may have. */
export function separation(event: FaultEvent, server: number): { at: number; until: number } | undefined {
  const { separates } = effectsOf(event);
  if (separates === undefined || (separates === "one" && event.target !== server)) return undefined;
  return event.silent ?? event;
}

/** Whether it is late words to this server's lease that a fault lets through at its end. */
export function letsThrough(event: FaultEvent, server: number): boolean {
  return effectsOf(event).late === true && (event.target === undefined || event.target === server);
}
