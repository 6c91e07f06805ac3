/** What the platform does after `WebSocket.close()`, which is nowhere promised. */

import assert from "node:assert/strict";
import { closeFramesWritten, MAX_CLOSES } from "../../lib/sessions/transport/close_frame.ts";
import { TextLineStream } from "../support/lines.ts";
import { until } from "../support/wait.ts";

/** How long this process stands still after the wait: a frame that has not left by then leaves later than this. */
const STANDSTILL_MS = 400;

for (const count of [1, MAX_CLOSES]) {
  Deno.test(`closeFramesWritten: the close frames of ${count} have left when it resolves`, async () => {
    const sockets: WebSocket[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onopen = () => sockets.push(socket);
      return response;
    });
    const watcher = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", "tests/support/close_watcher.ts", String(server.addr.port), String(count)],
      stdout: "piped",
    }).spawn();
    await until(() => sockets.length === count, "everyone is connected");
    for (const socket of sockets) socket.close();
    await closeFramesWritten();
    const resolvedAt = performance.timeOrigin + performance.now();
    while (performance.timeOrigin + performance.now() < resolvedAt + STANDSTILL_MS); // no frame can leave
    const lines = watcher.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    const closedAt = (await Array.fromAsync(lines)).map(Number);
    await watcher.status;
    assert.equal(closedAt.length, count);
    assert.ok(
      Math.max(...closedAt) < resolvedAt + STANDSTILL_MS / 2,
      `${Math.max(...closedAt) - resolvedAt} ms later`,
    );
  });
}
