/**
 * What a session costs, beside the floor that the platform sets and peers that do the same job.
 *
 * deno task bench:sessions                everything, some fifteen minutes
 * deno task bench:sessions takeover …     only these parts
 */

import { benchConnect } from "./sessions_connect.ts";
import { benchDrain } from "./sessions_drain.ts";
import { benchIdle } from "./sessions_idle.ts";
import { benchListing } from "./sessions_listing.ts";
import { benchOverlap } from "./sessions_overlap.ts";
import { benchTakeover } from "./sessions_takeover.ts";
import { benchToken } from "./sessions_token.ts";

const PARTS: Record<string, () => Promise<void>> = {
  connect: benchConnect,
  takeover: benchTakeover,
  idle: benchIdle,
  listing: benchListing,
  overlap: benchOverlap,
  token: benchToken,
  drain: benchDrain,
};

const chosen = Deno.args.length > 0 ? Deno.args : Object.keys(PARTS);
const unknown = chosen.find((name) => !Object.hasOwn(PARTS, name));
if (unknown !== undefined) {
  console.error(`ERROR: no part is called ${unknown}; there are ${Object.keys(PARTS).join(", ")}`);
  Deno.exit(2);
}
for (const name of chosen) await PARTS[name]!();
