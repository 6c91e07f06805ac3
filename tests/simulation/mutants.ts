import type { Clock } from "../../lib/service/clock.ts";
import type { Candidate } from "../../lib/sessions/registry/registry.ts";

/** A way to break the cluster on purpose, from outside: the simulation must find it. */
export interface Mutant {
  script?: (script: string) => string;
  candidate?: (candidate: Candidate) => Candidate;
  clock?: (clock: Clock) => Clock;
}
