/** `/sessions` as server-sent events, as the readers of a running cluster get it. */

import assert from "node:assert/strict";
import { get } from "node:http";
import { Cluster, sessionsOf } from "../support/cluster.ts";
import { EventReader } from "../support/event_reader.ts";
import { metricOf } from "../support/metrics.ts";
import { startServer } from "../support/program.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** The readers that a process takes at most, and of one address. */
const MAX_READERS = 64;
const MAX_READERS_OF_ADDRESS = 16;

const STREAM = { headers: { accept: "text/event-stream" } };

Deno.test("/sessions as events: a reader of any process sees the sessions of all, as they come and go", async () => {
  await using cluster = await Cluster.start();
  await using early = await WsClient.establish(cluster.port(0), "early");
  await using reader = await EventReader.connect(cluster.port(1));
  await reader.live();
  const clients: WsClient[] = [];
  for (let i = 0; i < 30; i++) {
    clients.push(await WsClient.establish(cluster.port(i % 3), `client ${i % 20}`));
  }
  await clients[15]![Symbol.asyncDispose]();
  await using last = await WsClient.establish(cluster.port(2), "last");
  const lastId = await last.sessionId;
  const events = await reader.until(({ data }) => data.session_id === lastId);
  assert.equal(events.filter(({ event }) => event === "replaced").length, 10);
  while (reader.sessions.size > 21) await reader.next(); // the end of client 15 may come after the opening of another
  const truth = await sessionsOf(cluster.port(0));
  assert.deepEqual(new Map(reader.sessions.entries().map(([session, client]) => [client, session])), truth);
  assert.ok(truth.get("early") === await early.sessionId && truth.size === 21);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

Deno.test("/sessions as events: a reader that goes on at another process misses nothing and hears nothing twice", async () => {
  await using cluster = await Cluster.start();
  const first = await EventReader.connect(cluster.port(0));
  await first.live();
  await using kim = await WsClient.establish(cluster.port(0), "kim");
  await first.until(({ event }) => event === "opened");
  await first[Symbol.asyncDispose]();
  await using lee = await WsClient.establish(cluster.port(2), "lee");
  await using second = await EventReader.connect(cluster.port(1), first.lastEventId);
  const messages = await second.live();
  assert.deepEqual(messages.map(({ event, data }) => [event, data.session_id]), [
    ["opened", await lee.sessionId],
    ["live", undefined],
  ]);
  await using newer = await WsClient.establish(cluster.port(1), "kim");
  const [replaced, opened] = await second.until(({ event }) => event === "opened");
  assert.deepEqual([replaced!.event, replaced!.data.session_id], ["replaced", await kim.sessionId]);
  assert.equal(opened!.data.session_id, await newer.sessionId);
});

Deno.test("/sessions as events: the sessions of a killed process are closed with its lease", async () => {
  await using cluster = await Cluster.start();
  const [doomed] = cluster.servers;
  const clients = await Promise.all(
    Array.from({ length: 300 }, (_, i) => WsClient.establish(doomed!.port, `client ${i}`)),
  );
  await using reader = await EventReader.connect(cluster.port(1));
  await reader.live();
  assert.equal(reader.sessions.size, 300);
  await doomed!.program.stop("SIGKILL");
  await Promise.all(clients.map(({ closed }) => closed));
  await cluster.endLease(doomed!);
  while (reader.sessions.size > 0) await reader.next();
});

Deno.test("/sessions as events: after a loss of Redis's data readers have the truth again", async () => {
  await using cluster = await Cluster.start();
  const clients = await Promise.all(
    Array.from({ length: 30 }, (_, i) => WsClient.establish(cluster.port(i % 3), `client ${i}`)),
  );
  await using reader = await EventReader.connect(cluster.port(0));
  await reader.live();
  const before = new Map(reader.sessions);
  await cluster.redis.kill();
  await reader.until(({ event }) => event === "paused");
  await clients[0]![Symbol.asyncDispose](); // nobody can be told of it
  await cluster.redis.restart();
  const messages = await reader.live();
  assert.equal(messages[0]!.event, "snapshot", "events may be missing: it starts again");
  before.delete(await clients[0]!.sessionId);
  assert.deepEqual(reader.sessions, before);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

Deno.test("/sessions as events: a process that is being stopped ends the stream, and takes no new readers", async () => {
  await using cluster = await Cluster.start({ args: ["--drain-delay", "10"] });
  const [leaving] = cluster.servers;
  await using reader = await EventReader.connect(leaving!.port);
  await reader.live();
  leaving!.program.kill("SIGTERM");
  await leaving!.program.line(/SIGTERM: shutting down/);
  const late = await fetch(`http://127.0.0.1:${leaving!.port}/sessions`, STREAM);
  assert.deepEqual([late.status, late.headers.get("retry-after")], [503, "1"]);
  await late.body?.cancel();
  await using kim = await WsClient.establish(cluster.port(1), "kim");
  const kimId = await kim.sessionId;
  await reader.until(({ data }) => data.session_id === kimId); // until the delay is over it is served
  while (await reader.next());
  assert.equal((await leaving!.program.status).code, 0);
});

Deno.test("/sessions as events: there is a limit to the readers, and who leaves makes room", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const refused = async (localAddress: string, says: RegExp) => {
    const { status, line } = await follow(server.port, localAddress);
    assert.deepEqual([localAddress, status], [localAddress, 503]);
    assert.match(line, says);
  };
  const readers: Follower[] = [];
  for (let address = 1; readers.length < MAX_READERS; address++) {
    for (let i = 0; i < MAX_READERS_OF_ADDRESS; i++) {
      const reader = await follow(server.port, `127.0.0.${address}`);
      assert.equal(reader.status, 200);
      readers.push(reader);
    }
    if (readers.length < MAX_READERS) await refused(`127.0.0.${address}`, /^your address has 16 readers/);
  }
  await refused("127.0.0.99", /^this process serves 64 readers already/);
  assert.equal((await sessionsOf(server.port)).size, 0, "the listing is served all the same");
  readers.pop()!.leave();
  await until(async () => {
    const next = await follow(server.port, "127.0.0.99");
    if (next.status === 200) readers.push(next);
    return next.status === 200;
  }, "one has left, and another one has its place");
  for (const reader of readers) reader.leave();
  await until(async () => await metricOf(server.port, "solo_event_readers") === 0, "nobody reads");
});

interface Follower {
  status: number;
  /** The first of the answer. */
  line: string;
  leave(): void;
}

/** Asks for the events from an address of this machine. */
function follow(port: number, localAddress: string): Promise<Follower> {
  return new Promise((resolve, reject) => {
    const request = get({
      host: "127.0.0.1",
      port,
      path: "/sessions",
      localAddress,
      ...STREAM,
      agent: false,
    });
    request.once("response", (response) => {
      response.on("error", () => {}); // left
      response.once(
        "data",
        (line) =>
          resolve({ status: response.statusCode!, line: String(line), leave: () => request.destroy() }),
      );
    });
    request.on("error", reject);
  });
}

Deno.test("/sessions as events: HEAD says what it would be, and without a registry there is none", async () => {
  await using cluster = await Cluster.start({ nodes: 1 });
  const url = `http://127.0.0.1:${cluster.port(0)}/sessions`;
  const head = await fetch(url, { ...STREAM, method: "HEAD" });
  assert.equal(head.headers.get("content-type"), "text/event-stream");
  assert.equal(await head.text(), "");
  await cluster.redis.kill();
  await until(async () => {
    const response = await fetch(url, STREAM);
    await response.body?.cancel();
    return response.status === 503;
  }, "it is refused");
});
