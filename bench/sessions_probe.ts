/** Asks a server for `/healthz` without a pause, in a process of its own: what its event loop stalls, this sees. */

import { answerRequests } from "./support/worker_process.ts";

export type ProbeRequest =
  /** Starts to ask. */
  | { kind: "watch"; port: number }
  /** Answers with the longest time an answer took since it was last asked for, ms. */
  | { kind: "longest" }
  /** Stops. */
  | { kind: "rest" };

let asking = Promise.resolve();
let watching = false;
let longestMs = 0;

async function watch(port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const request = new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  const answer = new Uint8Array(1024);
  while (watching) {
    const startedAt = performance.now();
    await conn.write(request);
    await conn.read(answer);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, 1)); // the server should do other things too
  }
}

await answerRequests(async (request: ProbeRequest) => {
  switch (request.kind) {
    case "watch":
      watching = true;
      asking = watch(request.port);
      return;
    case "longest": {
      const ms = longestMs;
      longestMs = 0;
      return ms;
    }
    case "rest":
      watching = false;
      await asking;
  }
});
