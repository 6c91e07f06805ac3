/** Crowds that only cost: good clients beside them are served as if they were alone, and all is as before when they go. */

import assert from "node:assert/strict";
import { Caddy } from "../support/caddy.ts";
import { Cluster, untilListed } from "../support/cluster.ts";
import { Crowd, timesAtControl } from "../support/crowd.ts";
import { metricOf } from "../support/metrics.ts";
import { comesToRest, openDescriptors } from "../support/process.ts";
import { startServer } from "../support/program.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { Peer } from "../support/tasks.ts";
import { startOn, testOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const CROWD = 2000;

/** How often good clients try whether they are served as ever. */
const VISITS = 20;

/**
 * How many visits a server without a crowd may get while one with a crowd gets one: for half of them, and for all but two,
 * during which the system may have let a process wait that had others to serve. A visit there takes a few times as long,
 * with Caddy and Redis in its way.
 */
const MOST = { half: 20, nearlyAll: 200 };

const UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: c29sbyB0ZXN0IGtleSAxMg==\r\n\r\n";

const WS_CROWDS: Record<string, (i: number) => string> = {
  "idle sockets": () => "",
  "half-sent request heads": (i) => `GET /?client_id=half-${i} HTTP/1.1\r\nHost: localhost\r\nX-Half: `,
  "askers for /sessions that do not read": () => "GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "sessions that never read": (i) => `GET /?client_id=deaf-${i} HTTP/1.1\r\nHost: localhost\r\n${UPGRADE}`,
};

for (const [what, send] of Object.entries(WS_CROWDS)) {
  Deno.test(`ws-server behind Caddy and ${CROWD} ${what}: good clients notice nothing`, async () => {
    await using cluster = await Cluster.start({ args: ["--takeover-limit", "0"] });
    await using balancer = await Caddy.start({ upstreams: cluster.servers.map(({ port }) => port) });
    const { port } = balancer;
    const residents = await Promise.all(
      Array.from({ length: 50 }, (_, i) => WsClient.establish(port, `resident-${i}`)),
    );
    await using spared = await startServer("ws-server", ["--redis", "off", "--takeover-limit", "0"]);
    const visit = async (port: number) => {
      await using older = await WsClient.establish(port, "visitor");
      await using _newer = await WsClient.establish(port, "visitor");
      assert.equal((await older.end()).code, 4409);
    };
    {
      using _crowd = await Crowd.connect(port, CROWD, send);
      for (const pid of [balancer.pid, ...cluster.pids]) await comesToRest(pid); // what arriving costs is another matter
      await noticesNothing(() => visit(port), () => visit(spared.port));
      assert.ok(residents.every((resident) => resident.isOpen), "those connected stay");
    }
    await untilListed(cluster.port(0), residents.map(({ clientId }) => clientId));
    await Promise.all(residents.map((resident) => resident[Symbol.asyncDispose]()));
  });
}

/** Good clients of a server with a crowd are served beside those of one without. */
async function noticesNothing(subject: () => Promise<void>, control: () => Promise<void>): Promise<void> {
  const counts = await timesAtControl({ subject, control }, VISITS);
  const [half, nearlyAll] = [counts[VISITS / 2]!, counts.at(-3)!];
  assert.ok(
    half <= MOST.half && nearlyAll <= MOST.nearlyAll,
    `during half of the visits at most ${MOST.half} elsewhere, during all but two ${MOST.nearlyAll}: ${
      counts.join(", ")
    }`,
  );
}

const TASKS_CROWDS: Record<string, (i: number) => string> = {
  "idle sockets": () => "",
  "half-sent requests": (i) => `{"type":"run","task_name":"echo","data":"half ${i}`,
  "clients that never read their replies": () => '{"type":"stats"}'.repeat(500),
};

for (const [what, send] of Object.entries(TASKS_CROWDS)) {
  Deno.test(`tasks-server and ${CROWD} ${what}: good clients notice nothing`, async () => {
    await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
    await comesToRest(server.program.pid); // a spare worker starts after the server listens
    const before = await openDescriptors(server.program.pid);
    await using spared = await startServer("tasks-server", ["--delay-factor", "0"]);
    using resident = await Peer.connect(server.port);
    using other = await Peer.connect(spared.port);
    const visit = async (port: number, resident: Peer) => {
      const { task_id } = await resident.ask({ type: "run", task_name: "revers", data: "abc" }) as {
        task_id: number;
      };
      const result = await resident.ask({ type: "get_result", task_id, wait: true });
      assert.deepEqual(result, { status: "success", data: "cba" });
      using visitor = await Peer.connect(port);
      assert.deepEqual(await visitor.ask({ type: "status", task_id }), { status: "success" });
    };
    {
      using _crowd = await Crowd.connect(server.port, CROWD, send);
      await comesToRest(server.program.pid);
      await noticesNothing(() => visit(server.port, resident), () => visit(spared.port, other));
    }
    await until(
      async () => await openDescriptors(server.program.pid) <= before + 5,
      "every descriptor is closed",
    );
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    ...testOn(
      transport,
      `ws-server at --max-connections, ${transport}: of a rush each is served or refused at once, and none is lost for later`,
    ),
    fn: async () => {
      const max = 300;
      await using server = await startOn(transport, ["--max-connections", String(max)]);
      await using resident = await WsClient.establish(server.port, "resident");
      const rush = await Promise.all(
        Array.from(
          { length: 1000 },
          (_, i) => RawWebSocket.connect(server.port, `rush-${i}`, { anyStatus: true }),
        ),
      );
      const served = rush.filter(({ answer }) => answer.status === 101);
      const refused = rush.filter(({ answer }) =>
        answer.status === 503 && answer.headers.get("retry-after") === "1"
      );
      assert.deepEqual([served.length, refused.length], [max - 1, 1000 - (max - 1)]);
      assert.ok(resident.isOpen);
      for (const socket of rush) socket[Symbol.dispose]();
      await until(async () => await metricOf(server.port, "solo_connections") === 1, "the rush is over");
      const again = await Promise.all(
        Array.from({ length: max - 1 }, (_, i) => RawWebSocket.connect(server.port, `again-${i}`)),
      );
      assert.ok(resident.isOpen);
      for (const socket of again) socket[Symbol.dispose]();
    },
  });
}

Deno.test("tasks-server at --max-connections: a rush is refused, those connected are served, and there is room again", async () => {
  const max = 100;
  await using server = await startServer("tasks-server", [
    "--delay-factor",
    "0",
    "--max-connections",
    String(max),
  ]);
  using resident = await Peer.connect(server.port);
  {
    using _crowd = await Crowd.connect(server.port, 1000, () => "");
    const stats = await resident.ask({ type: "stats" }) as { connections: number };
    assert.ok(stats.connections <= max, `${stats.connections} are connected`);
  }
  await until(async () => {
    const { connections } = await resident.ask({ type: "stats" }) as { connections: number };
    return connections === 1;
  }, "the crowd has left");
  using visitor = await Peer.connect(server.port);
  assert.ok(await visitor.ask({ type: "stats" }));
});
