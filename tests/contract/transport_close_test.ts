/** The contract of a connection: what `close` and `terminate` promise, and when the promise is kept. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { startOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { listen } from "../../lib/sessions/transport/listen.ts";
import {
  accept,
  type Connection,
  type Delivery,
  MAX_MESSAGE_BYTES,
  type Transport,
} from "../../lib/sessions/transport/transport.ts";
import { text } from "../../lib/sessions/transport/text.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";

/**
 * The platform goes on to write the close frame of a connection of `deno` that was cut, and fails some turns after it has told
 * of the end: nothing tells when, so no test can wait for it.
 */
function test(transport: TransportName, what: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name: transport + what, sanitizeOps: transport !== "deno", fn });
}

/** A transport whose every request to `/` becomes a connection; what is told of them is written down. */
class Listener implements AsyncDisposable {
  readonly told: string[] = [];
  /** The client_ids of the connections whose end was told of. */
  readonly ended: (string | null)[] = [];
  readonly connections: Connection[] = [];
  readonly remoteAddresses: string[] = [];
  transport!: Transport;
  readonly #sockets: RawWebSocket[] = [];
  #onOpen: ((connection: Connection) => void) | undefined;

  static async start(name: TransportName, onOpen?: (connection: Connection) => void): Promise<Listener> {
    const listener = new Listener();
    listener.#onOpen = onOpen;
    listener.transport = await listen(name, {
      hostname: "127.0.0.1",
      port: 0,
      maxMessages: 100,
      maxConnections: 1000,
      onAwake: () => {},
      onWornOut: () => {},
      handler: async (request, { remoteAddress }) => {
        listener.remoteAddresses.push(remoteAddress);
        const { pathname, searchParams } = new URL(request.url);
        if (pathname !== "/") return text(404, "no");
        const id = searchParams.get("client_id");
        if (id === "slow") await new Promise((resolve) => setTimeout(resolve, 50));
        if (id === "broken") throw new Error("the handler is broken");
        return accept({
          onOpen: (connection) => {
            listener.told.push("open");
            listener.connections.push(connection);
            listener.#onOpen?.(connection);
          },
          onFault: (fault) => listener.told.push(fault),
          onEnd: (code) => {
            listener.told.push(`end ${code}`);
            listener.ended.push(id);
          },
        }, { protocol: request.headers.has("sec-websocket-protocol") ? "solo" : undefined });
      },
    });
    return listener;
  }

  async connect(
    clientId = "kim",
    options?: Parameters<typeof RawWebSocket.connect>[2],
  ): Promise<[RawWebSocket, Connection]> {
    const already = this.connections.length;
    const socket = await RawWebSocket.connect(this.transport.port, clientId, options);
    this.#sockets.push(socket);
    await until(() => this.connections.length > already, "the connection is told of");
    return [socket, this.connections.at(-1)!];
  }

  async isEmpty(): Promise<void> {
    await until(() => this.transport.connections === 0, "no connection is left");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
    await this.isEmpty();
    await this.transport.close();
  }
}

for (const name of TRANSPORTS) {
  test(
    name,
    ", accept: what is sent arrives, with the protocol that was chosen, also after a wait",
    async () => {
      await using listener = await Listener.start(name);
      const headers = { "Sec-WebSocket-Protocol": "other, solo" };
      const [socket, connection] = await listener.connect("slow", { headers });
      assert.equal(socket.answer.headers.get("sec-websocket-protocol"), "solo");
      assert.deepEqual(listener.remoteAddresses, ["127.0.0.1"]);
      connection.send("привет");
      connection.send("");
      assert.equal((await socket.text()).text, "привет");
      assert.equal((await socket.text()).text, "");
      assert.equal(listener.transport.connections, 1);
      const [dense] = await listener.connect("dense", {
        headers: { "Sec-WebSocket-Protocol": "other,solo" },
      });
      assert.equal(
        dense.answer.headers.get("sec-websocket-protocol"),
        "solo",
        "as the npm package ws offers them",
      );
    },
  );

  test(
    name,
    ": a handler that throws costs an answer of 500, and nothing else",
    async () => {
      await using listener = await Listener.start(name);
      using socket = await RawWebSocket.connect(listener.transport.port, "broken", { anyStatus: true });
      assert.equal(socket.answer.status, 500);
      await listener.connect();
    },
  );

  test(
    name,
    ", close: the frame arrives, the promise is kept, the listener is not told of what it did itself",
    async () => {
      await using listener = await Listener.start(name);
      const [socket, connection] = await listener.connect();
      const evidence = connection.close(4409, "replaced");
      assert.equal(connection.close(1001, "again"), evidence, "the second call has no effect");
      connection.send("too late");
      await evidence;
      const { code, reason } = await socket.close();
      assert.deepEqual([code, reason], [4409, "replaced"]);
      await socket.gone;
      await listener.isEmpty();
      assert.deepEqual(listener.told, ["open"]);
    },
  );

  test(name, ", close: a peer that does not answer is cut, and the promise is kept", async () => {
    await using listener = await Listener.start(name);
    const [socket, connection] = await listener.connect("deaf", { answersClose: false });
    await connection.close(4409, "replaced");
    assert.equal((await socket.close()).code, 4409);
    await socket.gone;
    await listener.isEmpty();
    assert.deepEqual(listener.told, ["open"]);
  });

  test(name, ", close of one that takes nothing: it is cut, and the promise is kept", async () => {
    await using listener = await Listener.start(name);
    const [, connection] = await listener.connect("frozen", { read: false });
    const long = "x".repeat(60_000);
    for (let i = 0; i < 200; i++) connection.send(long); // 12 MB: more than the kernel takes
    const evidence = connection.close(4409, "replaced");
    // a stall delays this and the ticks alike, of which there are several before it is cut
    assert.equal(await within(500, evidence.then(() => "kept")), undefined, "the frame cannot have left");
    await evidence;
    await listener.isEmpty();
    assert.deepEqual(listener.told, ["open"]);
  });

  test(name, ", deliver: a text that was sent arrives, and it is told when the kernel has it", async () => {
    await using listener = await Listener.start(name);
    const [socket, connection] = await listener.connect();
    connection.send("first");
    assert.equal(await connection.deliver("привет"), "sent");
    const long = "я".repeat(32 * 1024);
    assert.deepEqual(await Promise.all([connection.deliver(long), connection.deliver("last")]), [
      "sent",
      "sent",
    ]);
    for (const expected of ["first", "привет", long, "last"]) {
      const { text } = await socket.text();
      assert.ok(text === expected, `${text.length} characters arrived, not ${expected.length}`);
    }
    const evidence = connection.close(4403, "ended");
    assert.equal(await connection.deliver("too late"), "closed");
    await evidence;
    assert.equal(await connection.deliver("too late"), "closed");
    assert.equal((await socket.close()).code, 4403);
    await listener.isEmpty();
  });

  test(
    name,
    ", deliver to one that reads nothing: a bound of bytes waits, and no evidence is made up",
    async () => {
      await using listener = await Listener.start(name);
      const [, connection] = await listener.connect("frozen", { read: false });
      const long = "x".repeat(MAX_MESSAGE_BYTES);
      assert.equal(await connection.deliver(long), "sent", "the kernel takes the first");
      const deliveries: Promise<Delivery>[] = [];
      let last: Delivery | undefined;
      while (last !== "full") {
        assert.ok(deliveries.length < 1000, "64 MB were taken for one that reads nothing");
        deliveries.push(connection.deliver(long));
        last = await within(20, deliveries.at(-1)!);
      }
      connection.terminate();
      const outcomes = await Promise.all(deliveries);
      const count = (delivery: Delivery) => outcomes.filter((outcome) => outcome === delivery).length;
      assert.equal(count("full"), 1);
      assert.ok(count("unknown") <= 3, `${count("unknown")} were waiting`);
      assert.equal(await connection.deliver("nobody is there"), "closed");
      await listener.isEmpty();
    },
  );

  test(name, ", deliver to one that reads later: it is told then, and all of it arrives", async () => {
    await using listener = await Listener.start(name);
    const [socket, connection] = await listener.connect("late", { read: false });
    const long = "x".repeat(MAX_MESSAGE_BYTES);
    let waiting: Promise<Delivery> | undefined;
    let sent = 0;
    while (!waiting) {
      const delivery = connection.deliver(long);
      if (await within(200, delivery) === undefined) waiting = delivery;
      sent++;
    }
    let bytes = 0;
    const buffer = new Uint8Array(65_536);
    const readAll = async () => {
      const expected = sent * (10 + MAX_MESSAGE_BYTES); // a head of 10 bytes each
      while (bytes < expected) {
        bytes += await socket.connection.read(buffer) ?? assert.fail("the stream ended");
      }
    };
    const [delivery] = await Promise.all([waiting, readAll()]);
    assert.equal(delivery, "sent");
  });

  test(
    name,
    ", terminate: ends without a word, also twice and after close, whose promise it keeps",
    async () => {
      await using listener = await Listener.start(name);
      const [first, cut] = await listener.connect("first");
      cut.terminate();
      cut.terminate();
      cut.send("nobody is there");
      assert.equal(await first.frame(), undefined);
      await until(() => listener.told.length === 2, "the end is told of");
      assert.match(listener.told[1]!, /^end 100[56]$/);
      await cut.close(1001, "nobody is there");

      const [, closing] = await listener.connect("second", { read: false });
      const evidence = closing.close(4409, "replaced");
      closing.terminate();
      await evidence;
      await listener.isEmpty();
    },
  );

  test(name, ": the peer's close is answered and told of, and so is its going without one", async () => {
    await using listener = await Listener.start(name);
    const [polite] = await listener.connect("polite");
    await polite.send(OPCODES.close, Uint8Array.of(0x0f, 0xa0)); // 4000
    assert.equal((await polite.close()).code, 4000);
    await polite.gone;
    await until(() => listener.told.length === 2, "the end is told of");
    assert.deepEqual(listener.told, ["open", "end 4000"]);

    const [rude] = await listener.connect("rude");
    rude[Symbol.dispose]();
    await until(() => listener.told.length === 4, "the end is told of");
    assert.match(listener.told[3]!, /^end 100[56]$/);
    await listener.isEmpty();
  });

  test(name, ", close and the peer's close at the same time: each end is told once", async () => {
    await using listener = await Listener.start(name);
    for (let i = 0; i < 200; i++) {
      const [socket, connection] = await listener.connect(`kim ${i}`);
      const theirs = socket.send(OPCODES.close, Uint8Array.of(0x0f, 0xa0)).catch(() => {});
      if (i % 2) await Promise.resolve();
      const ours = connection.close(4409, "replaced");
      await Promise.all([theirs, ours, socket.gone]);
    }
    await listener.isEmpty();
    assert.equal(listener.told.filter((what) => what === "open").length, 200);
    const twice = listener.ended.filter((id, i) => listener.ended.indexOf(id) !== i);
    assert.deepEqual(twice, [], "whose end was told more than once");
  });

  test(name, ": a listener that throws costs its own connection", async () => {
    await using listener = await Listener.start(name, () => {
      if (listener.connections.length === 1) throw new Error("on purpose");
    });
    // with node it is cut before the answer has left
    const first = await RawWebSocket.connect(listener.transport.port, "first").catch(() => undefined);
    assert.equal(await first?.frame(), undefined);
    first?.[Symbol.dispose]();
    const [second, connection] = await listener.connect("second");
    connection.send("fine");
    assert.equal((await second.text()).text, "fine");
  });

  test(name, ", Transport.close: ends what is left, and listens no more", async () => {
    const listener = await Listener.start(name);
    const [socket] = await listener.connect();
    await listener.transport.close();
    await socket.gone;
    socket[Symbol.dispose]();
    await assert.rejects(RawWebSocket.connect(listener.transport.port, "late"));
  });

  /**
   * The server is stopped when so many successors have their session_id. What the kernel holds then is what the server had
   * done: wherever a session_id has come, the close frame of the session before it must have come too.
   */
  test(
    name,
    ": no successor is established before the close frame of the older session is with the kernel",
    async (t) => {
      for (const stopAt of [1, 50, 150, 250]) {
        await t.step(`stopped at ${stopAt} of 300`, () => stopAmongTakeovers(name, stopAt));
      }
    },
  );
}

async function stopAmongTakeovers(name: TransportName, stopAt: number): Promise<void> {
  await using server = await startOn(name);
  const { port, program } = server;
  const ids = Array.from({ length: 300 }, (_, i) => `client ${i}`);
  const older = new Map(
    await Promise.all(ids.map(async (id) => {
      const socket = await RawWebSocket.connect(port, id);
      await socket.text();
      return [id, socket] as const;
    })),
  );
  const newer: RawWebSocket[] = [];
  using _sockets = {
    [Symbol.dispose]: () => [...older.values(), ...newer].forEach((socket) => socket[Symbol.dispose]()),
  };
  const established: string[] = [];
  const stopped = Promise.withResolvers<void>();
  const ended = ids.map(async (id) => {
    const socket = await RawWebSocket.connect(port, id);
    newer.push(socket);
    await socket.text(); // not one that has been cut off
    established.push(id);
    if (established.length !== stopAt) return;
    program.kill("SIGSTOP");
    stopped.resolve();
  }).map((one) => one.catch(() => {})); // those that the stop has left waiting are cut off below
  await stopped.promise;
  const none: string[] = [];
  // Those that are known by now; what is still unread of others makes the test no less true.
  await Promise.all(established.map(async (id) => {
    const frame = await older.get(id)!.frame().catch(() => undefined);
    if (frame?.opcode !== OPCODES.close) none.push(id);
  }));
  assert.deepEqual(none, [], "two sessions of these are established");
  await program[Symbol.asyncDispose](); // which leaves nobody waiting
  await Promise.all(ended);
}

/** What a promise is kept with, or nothing where it is not in this time. */
function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  return withDeadline(promise, ms, "").catch(() => undefined);
}
