/** Readers of events that do not read, over real connections. */

import assert from "node:assert/strict";
import { inMemory } from "../../lib/sessions/coordination.ts";
import { EventStream } from "../../lib/sessions/events/event_stream.ts";
import { listen } from "../../lib/sessions/transport/listen.ts";

const ENTRY = {
  sessionId: crypto.randomUUID(),
  clientId: "c".repeat(200),
  node: "n",
  epoch: 1,
  connectedAtMs: 0,
};

/** More than the system takes over for sending. */
async function* endless() {
  for (;;) yield await Promise.resolve(Array.from({ length: 1_000 }, () => ENTRY));
}

for (const transport of ["deno", "node"] as const) {
  Deno.test({
    name:
      `EventStream with --transport ${transport}: a reader that does not read is cut, and its place is free`,
    // a transport that is closed leaves a timer behind that holds nothing up
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const stream = new EventStream({ list: endless, events: inMemory().events, beatMs: 20, stallMs: 200 });
      const left = Promise.withResolvers<void>();
      const completed = Promise.withResolvers<void>();
      const server = await listen(transport, {
        hostname: "127.0.0.1",
        port: 0,
        handler: (_request, info) => {
          info.completed.then(completed.resolve, () => completed.resolve());
          return new Response(stream.open("", left.resolve));
        },
        maxMessages: 1,
        maxConnections: 1,
        onAwake: () => {},
        onWornOut: () => {},
      });
      try {
        using reader = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
        await reader.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
        await left.promise;
        assert.equal(stream.readers, 0);
        // Deno.serve has no means to drop a connection whose peer reads nothing; node:http has
        if (transport === "node") await completed.promise;
      } finally {
        await server.close();
      }
      await completed.promise;
    },
  });
}
