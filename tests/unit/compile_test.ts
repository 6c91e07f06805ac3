import assert from "node:assert/strict";
import { permissionFlags } from "../../tools/compile.ts";

Deno.test({
  name: "permissionFlags: an executable may do what the set says, and nothing else",
  permissions: "none",
  fn: () => {
    assert.deepEqual(
      permissionFlags({ net: true, env: ["SOLO_*", "NO_COLOR"], run: ["getconf"], write: false }),
      ["--allow-net", "--allow-env=SOLO_*,NO_COLOR", "--allow-run=getconf"],
    );
  },
});

Deno.test({
  name: "permissionFlags: sources are inside an executable, so that it need not read them",
  permissions: "none",
  fn: () => {
    assert.deepEqual(permissionFlags({ read: ["./lib/tasks"] }), []); // never "--allow-read=", which is everything
    assert.deepEqual(permissionFlags({ read: ["./lib/tasks", "/proc/self"] }), ["--allow-read=/proc/self"]);
  },
});
