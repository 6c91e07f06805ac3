/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that does to its thread what the data of the task says, and else answers with the data, or who it is. */

import type { Assignment } from "../../lib/tasks/workers.ts";

const BUSY_MS = 300;

/** Tells this thread from others. */
const identity = crypto.randomUUID();

self.onmessage = ({ ports }: MessageEvent) => {
  const port = ports[0]!;
  port.onmessage = ({ data: { data } }: MessageEvent<Assignment>) => {
    if (data === "hang") return;
    if (data === "close") return self.close();
    if (data === "die") throw new Error("out of order");
    if (data === "busy") beBusy();
    const result = data === "who" ? identity : data === "rights" ? rights() : data;
    port.postMessage({ result });
  };
  port.postMessage("ready");
};
self.postMessage("up");

/** Works hard, for a time. */
function beBusy(): void {
  const startMs = performance.now();
  while (performance.now() - startMs < BUSY_MS);
}

/** The names of the permissions that the thread has. */
function rights(): string {
  const names = ["read", "write", "net", "env", "run", "sys", "ffi", "import"] as const;
  return names.filter((name) => Deno.permissions.querySync({ name }).state === "granted").join();
}
