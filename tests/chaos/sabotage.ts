/**
 * Servers that are broken on purpose, which a chaos run has to find. Put before a ws-server by `--preload`, this module breaks
 * what `SOLO_SABOTAGE` names.
 */

import { Fence } from "../../lib/sessions/registry/redis/fence.ts";
import { type ClaimReply, RedisStore } from "../../lib/sessions/registry/redis/redis_store.ts";
import { SCRIPTS } from "../../lib/sessions/registry/redis/scripts.ts";

const LOOK = `redis.call("HGET", KEYS[2], ARGV[1])`;

/** Whoever looks at a line within some milliseconds sees the same one, as where looking and taking a place are two commands. */
const LOOK_EARLIER = `(function()
  local key = KEYS[2] .. ":earlier:" .. ARGV[1]
  local line = redis.call("GET", key)
  if line then return line end
  line = ${LOOK}
  redis.call("SET", key, line or "", "PX", "5")
  return line
end)()`;

/** By name, what a server can be without. */
export const SABOTAGES = {
  /** A claim in one step. */
  "check-then-set": () => {
    if (!SCRIPTS.claim.includes(LOOK)) throw new Error(`no claim has ${LOOK}`);
    Object.assign(SCRIPTS, { claim: SCRIPTS.claim.replace(LOOK, LOOK_EARLIER) });
  },
  /** Sessions that end with the lease. */
  "no-fencing": () => {
    Fence.prototype.end = () => Promise.resolve();
  },
  /** A newcomer that waits for the end of the older session. */
  "no-wait": () => {
    const { claim } = RedisStore.prototype;
    RedisStore.prototype.claim = async function (place): Promise<ClaimReply> {
      const reply = await claim.call(this, place);
      return reply.answer === "wait" ? { ...reply, answer: "established" } : reply;
    };
  },
} as const;

export type Sabotage = keyof typeof SABOTAGES;

export const SABOTAGE_KINDS = Object.keys(SABOTAGES) as Sabotage[];

/** The command that starts a server without what `SOLO_SABOTAGE` names. */
export function sabotaged([deno, run, ...rest]: string[]): string[] {
  return [deno!, run!, `--preload=${new URL(import.meta.url).pathname}`, ...rest];
}

const sabotage = Deno.env.get("SOLO_SABOTAGE");
if (sabotage !== undefined) SABOTAGES[sabotage as Sabotage]();
