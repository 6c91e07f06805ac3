/** Ten thousand sockets opened, replaced and dropped leave nothing behind. */

import assert from "node:assert/strict";
import { Cluster, sessionsOf } from "../support/cluster.ts";
import { unlessOlderRuntime } from "../support/program.ts";
import { openDescriptors, residentMiB } from "../support/process.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { until } from "../support/wait.ts";

const ROUNDS = 5;
const SOCKETS_A_ROUND = 2000;
const AT_ONCE = 100;

Deno.test(
  unlessOlderRuntime(
    "ws-server: 10,000 sockets opened, replaced and dropped leave no entry, descriptor or memory",
    "the base runtime grows with each socket",
  ),
  async () => {
    await using cluster = await Cluster.start({ nodes: 2, leaseS: 10 });
    const [{ program, port }] = cluster.servers as [typeof cluster.servers[0]];
    const idle = await openDescriptors(program.pid);
    const memory: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < SOCKETS_A_ROUND; i += AT_ONCE) {
        const sockets = await Promise.all(
          Array.from({ length: AT_ONCE }, async (_, n) => {
            const socket = await RawWebSocket.connect(port, `client ${n % 50}`); // every second replaces another
            await socket.frame();
            return socket;
          }),
        );
        for (const socket of sockets) socket[Symbol.dispose]();
      }
      await until(async () => (await sessionsOf(cluster.port(1))).size === 0, "no session is left");
      await until(async () => await openDescriptors(program.pid) <= idle + 5, "every descriptor is closed");
      memory.push(await residentMiB(program.pid));
    }
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const gauge of ["solo_connections", "solo_sessions_established", "solo_sockets_lost"]) {
      assert.match(metrics, new RegExp(`^${gauge} 0$`, "m"));
    }
    assert.equal(await cluster.redis.command("KEYS", "solo:sessions:*"), "");
    const growth = memory.at(-1)! / memory[1]!;
    assert.ok(growth < 1.25, `memory after each round, MiB: ${memory.join(", ")}`);
  },
);
