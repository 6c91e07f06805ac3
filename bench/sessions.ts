/**
 * What a session costs, beside the floor that the platform sets and peers that do the same job.
 *
 * deno task bench:sessions                everything, some fifteen minutes
 * deno task bench:sessions takeover …     only these parts
 * deno task bench:sessions redis --against <checkout>     what a session costs Redis, beside another version
 */

import { parseArgs } from "node:util";
import { benchConnect } from "./sessions_connect.ts";
import { benchDrain } from "./sessions_drain.ts";
import { benchIdle } from "./sessions_idle.ts";
import { benchListing } from "./sessions_listing.ts";
import { benchLookUp } from "./sessions_look_up.ts";
import { benchOverlap } from "./sessions_overlap.ts";
import { benchRedis } from "./sessions_redis.ts";
import { benchTakeover } from "./sessions_takeover.ts";
import { benchToken } from "./sessions_token.ts";

const PARTS: Record<string, () => Promise<void>> = {
  connect: benchConnect,
  takeover: benchTakeover,
  idle: benchIdle,
  listing: benchListing,
  "look-up": benchLookUp,
  overlap: benchOverlap,
  token: benchToken,
  drain: benchDrain,
  redis: () => benchRedis(against && Deno.realPathSync(against)),
};

const { values: { against }, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: { against: { type: "string" } },
});
const chosen = positionals.length > 0 ? positionals : Object.keys(PARTS);
const unknown = chosen.find((name) => !Object.hasOwn(PARTS, name));
if (unknown !== undefined) {
  console.error(`ERROR: no part is called ${unknown}; there are ${Object.keys(PARTS).join(", ")}`);
  Deno.exit(2);
}
for (const name of chosen) await PARTS[name]!();
