/** The scripts that Redis runs, each as one text. */

import blockedLua from "./lua/blocked.lua" with { type: "text" };
import claimLua from "./lua/claim.lua" with { type: "text" };
import endLua from "./lua/end.lua" with { type: "text" };
import findLua from "./lua/find.lua" with { type: "text" };
import forgetLua from "./lua/forget.lua" with { type: "text" };
import generationLua from "./lua/generation.lua" with { type: "text" };
import leasesLua from "./lua/leases.lua" with { type: "text" };
import nodesLua from "./lua/nodes.lua" with { type: "text" };
import operationLua from "./lua/operation.lua" with { type: "text" };
import releaseLua from "./lua/release.lua" with { type: "text" };
import renewLua from "./lua/renew.lua" with { type: "text" };
import sendLua from "./lua/send.lua" with { type: "text" };
import sharedLua from "./lua/shared.lua" with { type: "text" };
import takeoversLua from "./lua/takeovers.lua" with { type: "text" };

/** By the name of their operation. */
export const SCRIPTS = {
  claim: sharedLua + leasesLua + takeoversLua + claimLua,
  release: sharedLua + leasesLua + releaseLua,
  renew: sharedLua + generationLua + renewLua,
  nodes: sharedLua + nodesLua,
  forget: sharedLua + forgetLua,
  find: sharedLua + leasesLua + operationLua + findLua,
  end: sharedLua + leasesLua + operationLua + endLua,
  send: sharedLua + leasesLua + operationLua + sendLua,
  blocked: sharedLua + blockedLua,
} as const;
