/** Who can reach an address. */

import assert from "node:assert/strict";
import { isLoopback } from "../../lib/service/address.ts";

Deno.test({
  name: "isLoopback: what only this machine can reach",
  permissions: "none",
  fn: () => {
    for (const host of ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1"]) {
      assert.ok(isLoopback(host), host);
    }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil", ""]) {
      assert.ok(!isLoopback(host), host);
    }
  },
});
