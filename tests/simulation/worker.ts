/** Runs simulations for whoever posts options, one after the other, and posts what came of each. */

import { MUTANTS } from "./mutants.ts";
import type { FaultSet } from "./plan.ts";
import { type Outcome, simulate } from "./schedule.ts";

export interface Order {
  seed: string;
  faults: FaultSet[];
  /** The name of a mutant. */
  mutant?: string;
}

export interface Delivery extends Omit<Outcome, "trace"> {
  seed: string;
}

const worker = self as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(delivery: Delivery | "ready"): void;
};

worker.onmessage = async ({ data: { seed, faults, mutant } }) => {
  const { trace: _, ...outcome } = await simulate({
    seed,
    faults,
    mutant: mutant ? MUTANTS[mutant] : undefined,
  });
  worker.postMessage({ seed, ...outcome });
};
worker.postMessage("ready"); // what was sent before, while the modules loaded, was lost
