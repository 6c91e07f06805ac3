/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that does to its thread what the data of the task says, and else answers with the data, or who it is. */

import type { Assignment } from "../../lib/tasks/workers.ts";

/** Tells this thread from others. */
const identity = crypto.randomUUID();

/** Tells one that is busy to be done with its work. */
const finish = new BroadcastChannel("finish");

self.onmessage = ({ ports }: MessageEvent) => {
  const port = ports[0]!;
  port.onmessage = ({ data: { data } }: MessageEvent<Assignment>) => {
    if (data === "hang") return;
    if (data === "close") return self.close();
    if (data === "die") throw new Error("out of order");
    if (data === "busy") {
      finish.onmessage = () => port.postMessage({ result: data });
      return;
    }
    const result = data === "who" ? identity : data === "rights" ? rights() : data;
    port.postMessage({ result });
  };
  port.postMessage("ready");
};
self.postMessage("up");

/** The names of the permissions that the thread has. */
function rights(): string {
  const names = ["read", "write", "net", "env", "run", "sys", "ffi", "import"] as const;
  return names.filter((name) => Deno.permissions.querySync({ name }).state === "granted").join();
}
