/**
 * What a session costs, beside the floor that the platform sets and peers that do the same job.
 *
 * deno task bench:sessions                everything, some fifteen minutes
 * deno task bench:sessions takeover …     only these parts
 * deno task bench:sessions redis --against <checkout>     what a session costs Redis, beside another version
 */

import { Argument, InvalidArgumentError } from "commander";
import { createProgram, flag } from "../lib/service/flags.ts";
import { runProgram } from "../tools/run_program.ts";
import { benchConnect } from "./sessions_connect.ts";
import { benchDrain } from "./sessions_drain.ts";
import { benchIdle } from "./sessions_idle.ts";
import { benchListing } from "./sessions_listing.ts";
import { benchLookUp } from "./sessions_look_up.ts";
import { benchOverlap } from "./sessions_overlap.ts";
import { benchRedis } from "./sessions_redis.ts";
import { benchTakeover } from "./sessions_takeover.ts";
import { benchToken } from "./sessions_token.ts";

interface Flags {
  against?: string;
}

const PARTS: Record<string, (flags: Flags) => Promise<void>> = {
  connect: benchConnect,
  takeover: benchTakeover,
  idle: benchIdle,
  listing: benchListing,
  "look-up": benchLookUp,
  overlap: benchOverlap,
  token: benchToken,
  drain: benchDrain,
  redis: ({ against }) => benchRedis(against),
};

const program = createProgram("bench", "What a session costs, beside the bare platform and peers.")
  .addArgument(new Argument("[parts...]", "which of them").choices(Object.keys(PARTS)))
  .addOption(
    flag("--against <folder>", "another checkout, beside which redis is measured", { parse: folder }),
  )
  .action(async (parts: string[]) => {
    for (const part of parts.length > 0 ? parts : Object.keys(PARTS)) await PARTS[part]!(program.opts());
  });

function folder(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    throw new InvalidArgumentError("There is no such folder.");
  }
}

await runProgram(program);
