import assert from "node:assert/strict";
import { Peer, startTasks } from "../support/tasks.ts";

/** What differs from run to run. */
const normal = (line: string) => line.replace(/"uptime_s":[\d.]+/, '"uptime_s":0');

Deno.test("docs/tasks-protocol.md: the server says what the example session says", async () => {
  const doc = await Deno.readTextFile(new URL("../../docs/tasks-protocol.md", import.meta.url));
  const session = doc.match(/```session\n(.*?)```/s)![1]!.trimEnd().split("\n");
  assert(session.length > 20);
  await using server = startTasks({ delayFactor: 0.1 });
  using peer = await Peer.connect(server.port);
  for (const line of session) {
    if (line.startsWith("C: ")) await peer.send(line.slice(3) + "\n");
    else if (line.startsWith("S: ")) assert.equal(normal(await peer.line()), normal(line.slice(3)));
    else assert.equal(line, "   the server closes the connection");
  }
  assert.equal(await peer.rest(), "");
});
