/**
 * The reference client in Deno, Node 22 and Chromium: every row of the table of close codes, as the protocol document has
 * X and its dice are the test's; servers and connections are real.
 */

import assert from "node:assert/strict";
// @ts-types="../../lib/sessions/transport/ws.d.ts"
import type { WebSocket } from "ws";
import {
  endOf,
  type Platform,
  PLATFORM_NAMES,
  play,
  sessionOf,
  testOn,
  urlOf,
} from "../support/client_platforms.ts";
import { type CloseCodeRow, closeCodeTable, refusalsOf } from "../support/close_code_table.ts";
import { sessionsOf, untilListed } from "../support/cluster.ts";
import { startServer } from "../support/program.ts";
import { freePort } from "../support/ports.ts";
import { ScriptedWebSocket, type Visitor } from "../support/scripted_websocket.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const PROTOCOL = Deno.readTextFileSync(new URL("../../docs/sessions-protocol.md", import.meta.url));

const TABLE = closeCodeTable(PROTOCOL);

/** The statuses that the document has for an upgrade that is refused. */
const REFUSALS = refusalsOf(PROTOCOL);

/** What the document says. */
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;
const PATIENCE_MS = 30_000;
const BEAT_MS = 15_000;
const ASLEEP_MS = 120_000;

for (const name of PLATFORM_NAMES) {
  const test = testOn(name);

  test("does after each close what the table in the protocol says", async (platform, t) => {
    assert.ok(TABLE.length >= 12);
    for (const { codes, reason, suffix, after, withinS } of TABLE) {
      for (const code of codes) {
        for (const text of suffix ? [reason, reason + suffix] : [reason]) {
          await t.step(`${code} ${text}: ${after}`, async () => {
            const within = text.includes("within") || !suffix ? withinS : undefined;
            await meetsClose(platform, { code, reason: text, after, withinS: within });
          });
        }
      }
    }
  });

  test("waits longer each time while nobody is there, and from the start again after a session", async (platform) => {
    const port = freePort();
    await using subject = await play(platform, { url: urlOf(port), clientId: "kim", die: 0.5 });
    for (let attempt = 0; attempt < 8; attempt++) {
      const waitMs = 0.5 * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
      assert.deepEqual(await subject.next(), ["end", { code: 1006, reason: "", waitMs }]);
      assert.deepEqual(await subject.timers(), [waitMs]);
      if (attempt < 7) await subject.advance(waitMs);
    }
    await using server = await startServer("ws-server", ["--redis", "off", "--port", String(port)]);
    await subject.advance(MAX_WAIT_MS);
    const sessionId = await sessionOf(subject);
    assert.deepEqual(await sessionsOf(server.port), new Map([["kim", sessionId]]));
    server.program.kill("SIGKILL");
    assert.equal((await endOf(subject)).waitMs, 0.5 * FIRST_WAIT_MS);
  });

  test("draws its waits at random, from nothing to all of it", async (platform) => {
    for (const [die, waitMs] of [[0, 0], [0.999, 499.5]] as const) {
      await using server = await ScriptedWebSocket.start((visitor) =>
        visitor.refuse("503 Service Unavailable")
      );
      await using subject = await play(platform, { url: urlOf(server.port), die });
      assert.deepEqual(await subject.next(), ["end", { code: 1006, reason: "", waitMs }]);
    }
  });

  test("tries again after 503, until it is served", async (platform) => {
    await using server = await startServer("ws-server", ["--redis", "off", "--max-connections", "1"]);
    const first = await WsClient.establish(server.port, "first");
    await using subject = await play(platform, { url: urlOf(server.port), clientId: "kim" });
    const { code, waitMs } = await endOf(subject);
    assert.equal(code, 1006);
    await first[Symbol.asyncDispose]();
    await untilListed(server.port, []); // there is room
    await subject.advance(waitMs!);
    await sessionOf(subject);
  });

  test("takes every answer in the place of a session for one that will be another the next time", async (platform) => {
    let status: number | undefined; // Node asks twice where it is told 421
    await using server = await ScriptedWebSocket.start(async (visitor) => {
      if (status) visitor.refuse(`${status} Refused`);
      else (await visitor.accept()).send("s");
    });
    status = REFUSALS[0];
    await using subject = await play(platform, { url: urlOf(server.port) });
    for (let attempt = 0; attempt < REFUSALS.length; attempt++) {
      const waitMs = 0.5 * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
      assert.deepEqual(await subject.next(), ["end", { code: 1006, reason: "", waitMs }], `after ${status}`);
      status = REFUSALS[attempt + 1];
      await subject.advance(waitMs);
    }
    assert.deepEqual(await subject.next(), ["session", "s"]);
  });

  test("gives up a server that does not answer, or gives no session", async (platform, t) => {
    for (const answers of [false, true]) {
      await t.step(answers ? "no session_id" : "no answer to the upgrade", async () => {
        const sessions = ["", "", "s3"];
        await using server = await ScriptedWebSocket.start(async (visitor) => {
          const session = sessions[visitor.number - 1]!;
          if (!answers && session === "") return;
          const socket = await visitor.accept();
          if (session) socket.send(session);
        });
        await using subject = await play(platform, { url: urlOf(server.port) });
        for (const attempt of [0, 1]) {
          await until(() => server.visits === attempt + 1, "it has asked");
          await subject.advance(PATIENCE_MS - 1);
          assert.deepEqual(await subject.untold(), []);
          await subject.advance(1);
          const waitMs = 0.5 * FIRST_WAIT_MS * 2 ** attempt;
          assert.deepEqual(await subject.next(), ["end", { code: 1006, reason: "", waitMs }]);
          await subject.advance(waitMs);
        }
        assert.deepEqual(await subject.next(), ["session", "s3"]);
      });
    }
  });

  test("sends something now and then, and comes again after its machine has slept", async (platform) => {
    const heard: string[] = [];
    const closes: number[] = [];
    await using server = await ScriptedWebSocket.start(async (visitor) => {
      const socket = await visitor.accept();
      socket.on("message", (data) => heard.push(`${visitor.number}:${data}`));
      socket.on("close", (code) => closes.push(code));
      socket.send(`s${visitor.number}`);
    });
    await using subject = await play(platform, { url: urlOf(server.port) });
    assert.deepEqual(await subject.next(), ["session", "s1"]);
    await until(() => heard.length === 1, "an empty message");
    await subject.advance(BEAT_MS);
    await until(() => heard.length === 2, "another");
    await subject.sleep(BEAT_MS + ASLEEP_MS); // as late as the timers of a hidden tab may be
    await until(() => heard.length === 3, "and another");
    await subject.sleep(BEAT_MS + ASLEEP_MS + 1);
    const { code, waitMs } = await endOf(subject);
    assert.equal(code, 1006);
    await until(() => closes.length === 1, "it leaves the old connection");
    await subject.advance(waitMs!);
    assert.deepEqual(await subject.next(), ["session", "s2"]);
    await until(() => heard.length === 4, "it goes on");
    assert.deepEqual(heard, ["1:", "1:", "1:", "2:"]);
  });

  test("notices that the other end has died while it was closing", async (platform) => {
    await using server = await ScriptedWebSocket.start(async (visitor) => {
      const socket = await visitor.accept();
      socket.send("s");
      if (visitor.number === 1) visitor.socket.write(Uint8Array.of(0x88, 2, 1001 >> 8, 1001 & 255)); // and never ends
    });
    await using subject = await play(platform, { url: urlOf(server.port) });
    await sessionOf(subject);
    // Deno takes the frame for the end, Chromium waits a little for the end of the stream, Node for ever
    await until(async () => {
      if (name === "Node 22") await subject.advance(BEAT_MS);
      return (await subject.untold()).length > 0;
    }, "it has noticed");
    const { code, waitMs } = await endOf(subject);
    // the code of the frame, or that of a connection that was given up
    assert.ok(code === 1001 || (code === 1006 && name !== "Deno"), `ended with ${code}`);
    await subject.advance(waitMs!);
    await sessionOf(subject);
  });

  test("brings a token as a subprotocol, and a new one each time where it can ask for one", async (platform) => {
    const brought: (string | undefined)[] = [];
    const accept = async (visitor: Visitor) => {
      brought.push(visitor.request.headers["sec-websocket-protocol"]);
      const socket = await visitor.accept();
      socket.send(`s${visitor.number}`);
      if (visitor.number === 1) socket.close(4401, "the token has expired");
    };
    {
      await using server = await ScriptedWebSocket.start(accept);
      await using subject = await play(platform, { url: urlOf(server.port), tokens: ["a.b.c", "d.e.f"] });
      await sessionOf(subject);
      const { waitMs } = await endOf(subject);
      await subject.advance(waitMs!);
      assert.deepEqual(await subject.next(), ["session", "s2"]);
    }
    {
      await using server = await ScriptedWebSocket.start(accept);
      await using subject = await play(platform, { url: urlOf(server.port), token: "g.h.i" });
      await sessionOf(subject);
      const { code, waitMs } = await endOf(subject);
      assert.deepEqual([code, waitMs], [4401, undefined]);
      assert.deepEqual(await subject.timers(), []);
    }
    const asHeader = (token: string) => new RegExp(`^solo, ?solo\\.token\\.${token}$`);
    ["a.b.c", "d.e.f", "g.h.i"].forEach((token, i) => assert.match(brought[i] ?? "", asHeader(token)));
  });

  test("a token that cannot be had or sent is an attempt that failed, and it says why", async (platform) => {
    await using server = await ScriptedWebSocket.start(async (visitor) => (await visitor.accept()).send("s"));
    await using subject = await play(platform, { url: urlOf(server.port), tokens: ["not a token", "a.b.c"] });
    const { code, reason, waitMs } = await endOf(subject);
    assert.equal(code, 1006);
    assert.match(reason, /protocol/i);
    await subject.advance(waitMs!);
    await sessionOf(subject);
  });

  test("close: ends it at whatever moment, and nothing is told any more", async (platform, t) => {
    const sockets: WebSocket[] = [];
    const closes: number[] = [];
    let left = false;
    const scripts: Record<string, (visitor: Visitor) => unknown> = {
      "while it connects": ({ socket }) => socket.on("end", () => left = true).resume(),
      "while it waits for a session": async (visitor) => sockets.push(await visitor.accept()),
      "with a session": async (visitor) => {
        const socket = await visitor.accept();
        socket.on("close", (code) => closes.push(code));
        socket.send("s");
      },
      "while it waits to come again": (visitor) => visitor.refuse("503 Service Unavailable"),
    };
    for (const [moment, script] of Object.entries(scripts)) {
      await t.step(moment, async () => {
        await using server = await ScriptedWebSocket.start(script);
        await using subject = await play(platform, { url: urlOf(server.port) });
        await until(() => server.visits === 1, "it has asked");
        if (moment === "with a session") await sessionOf(subject);
        if (moment === "while it waits to come again") await endOf(subject);
        await subject.close();
        assert.deepEqual(await subject.timers(), []);
        if (moment === "while it connects") await until(() => left, "the server is left");
        if (moment === "with a session") {
          await until(() => closes.length > 0, "the server is told");
          assert.deepEqual(closes, [1000]);
        }
        await subject.advance(MAX_WAIT_MS);
        assert.deepEqual(await subject.untold(), []);
        assert.equal(server.visits, 1);
      });
    }
  });
}

/** A server closes the first connection; whether the client comes again, and after which wait. */
async function meetsClose(
  platform: Platform,
  { code, reason, after, withinS }: Pick<CloseCodeRow, "reason" | "after" | "withinS"> & { code: number },
): Promise<void> {
  await using server = await ScriptedWebSocket.start(async (visitor) => {
    const socket = await visitor.accept();
    socket.send(`s${visitor.number}`);
    if (visitor.number > 1) return;
    socket.send("hello");
    if (code === 1006) visitor.socket.destroySoon();
    else if (code === 1005) socket.close();
    else socket.close(code, reason);
  });
  await using subject = await play(platform, { url: urlOf(server.port), die: 0.25 });
  assert.deepEqual(await subject.next(), ["session", "s1"]);
  assert.deepEqual(await subject.next(), ["message", "hello"]);
  const end = await endOf(subject);
  assert.deepEqual([end.code, end.reason], [code, reason]);
  if (after !== "reconnect") {
    assert.equal(end.waitMs, undefined);
    assert.deepEqual(await subject.timers(), [], "it will never come again by itself");
    assert.equal(server.visits, 1);
    return;
  }
  const waitMs = 0.25 * (withinS === undefined ? FIRST_WAIT_MS : withinS * 1000);
  assert.equal(end.waitMs, waitMs);
  assert.deepEqual(await subject.timers(), [waitMs]);
  await subject.advance(waitMs - 1);
  assert.deepEqual(await subject.timers(), [1]);
  await subject.advance(1);
  assert.deepEqual(await subject.next(), ["session", "s2"]);
  assert.equal(server.visits, 2);
}
