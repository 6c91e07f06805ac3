import assert from "node:assert/strict";
import { Peer, startTasks } from "../support/tasks.ts";

/** What differs from run to run. */
const normal = (line: string) => line.replace(/"uptime_s":[\d.]+/, '"uptime_s":0');

Deno.test("docs/tasks-protocol.md: the server says what the example session says", async () => {
  const doc = await Deno.readTextFile(new URL("../../docs/tasks-protocol.md", import.meta.url));
  const session = doc.match(/```session\n(.*?)```/s)![1]!.trimEnd().split("\n");
  assert(session.length > 20);
  await using server = startTasks({ delayFactor: 1 });
  using peer = await Peer.connect(server.port);
  // What the server says of tasks under way is not to depend on how fast a client goes on.
  const atOnce = 1 + session.indexOf('C: {"type":"list"}');
  assert(atOnce > 0);
  const requests = session.slice(0, atOnce).filter((line) => line.startsWith("C: "));
  await peer.send(requests.map((line) => line.slice(3) + "\n").join(""));
  for (const [i, line] of session.entries()) {
    if (line.startsWith("C: ")) {
      if (i >= atOnce) await peer.send(line.slice(3) + "\n");
    } else if (line.startsWith("S: ")) assert.equal(normal(await peer.line()), normal(line.slice(3)));
    else assert.equal(line, "   the server closes the connection");
  }
  assert.equal(await peer.rest(), "");
});
