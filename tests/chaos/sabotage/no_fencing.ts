/** A registry whose sessions do not end with the lease. */

import type { EventSource } from "../../../lib/sessions/events/events.ts";
import {
  RedisRegistry as Right,
  type RedisRegistryOptions,
} from "../../../lib/sessions/registry/redis/redis_registry.ts";
import type { Candidate, SessionRegistry } from "../../../lib/sessions/registry/registry.ts";

export const RedisRegistry = {
  async start(options: RedisRegistryOptions): Promise<SessionRegistry & { journal: EventSource }> {
    const right = await Right.start(options);
    const unfenced = new WeakMap<Candidate, Candidate>();
    return {
      journal: right.journal,
      get state() {
        return right.state;
      },
      claim(candidate) {
        const { clientId, sessionId, connectedAtMs } = candidate;
        const deaf: Candidate = {
          clientId,
          sessionId,
          connectedAtMs,
          establish: () => candidate.establish(),
          revoke: (reason) => reason.kind === "lease-lost" ? Promise.resolve() : candidate.revoke(reason),
          cut: () => {},
        };
        unfenced.set(candidate, deaf);
        right.claim(deaf);
      },
      release: (candidate) => right.release(unfenced.get(candidate)!),
      list: () => right.list(),
      [Symbol.asyncDispose]: () => right[Symbol.asyncDispose](),
    };
  },
};
