/** What the platform does after `WebSocket.close()`, which is nowhere promised. */

import assert from "node:assert/strict";
import { closeFramesWritten, MAX_CLOSES } from "../../lib/sessions/close_frame.ts";
import { Subprocess } from "../support/subprocess.ts";
import { PATIENCE_MS, until } from "../support/wait.ts";

for (const count of [1, MAX_CLOSES]) {
  Deno.test(`closeFramesWritten: the close frames of ${count} have left when it resolves`, async () => {
    const sockets: WebSocket[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onopen = () => sockets.push(socket);
      return response;
    });
    await using watcher = new Subprocess("watcher", [
      ...[Deno.execPath(), "run", "-q", "-A", "tests/support/close_watcher.ts"],
      ...[String(server.addr.port), String(count)],
    ]);
    await until(() => sockets.length === count, "everyone is connected");
    for (const socket of sockets) socket.close();
    await closeFramesWritten();
    assert.ok(endsWhileWeStandStill(watcher.pid), "the watcher has seen every close frame");
  });
}

/** Waits for the end of a process without a turn of the event loop: what this process has not sent stays here. */
function endsWhileWeStandStill(pid: number): boolean {
  const end = performance.now() + PATIENCE_MS;
  const lives = () => {
    const { stdout } = new Deno.Command("ps", { args: ["-o", "stat=", "-p", String(pid)] }).outputSync();
    return /^[^Z]/.test(new TextDecoder().decode(stdout)); // a zombie has ended, and nobody has asked how
  };
  while (lives()) {
    if (performance.now() > end) return false;
  }
  return true;
}
