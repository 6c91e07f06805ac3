/** The reference client in Deno, Node 22 and Chromium, and a real server that fails in every way that the protocol document tells of. */

import assert from "node:assert/strict";
import {
  endOf,
  PLATFORM_NAMES,
  play,
  sessionAtLast,
  sessionOf,
  testOn,
  urlOf,
} from "../support/client_platforms.ts";
import { sessionsOf, untilListed } from "../support/cluster.ts";
import { startServer } from "../support/program.ts";
import { freePort } from "../support/ports.ts";
import { Redis } from "../support/redis.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

for (const name of PLATFORM_NAMES) {
  const test = testOn(name);

  test("of a real server: replaced, told to go, killed, frozen, without its Redis", async (platform, t) => {
    await using redis = await Redis.start();
    const port = freePort();
    const flags = ["--redis", redis.url, "--lease", "5", "--port", String(port)];
    let server = await startServer("ws-server", flags);
    try {
      const url = urlOf(port);
      await t.step("replaced by a newer connection", async () => {
        await using subject = await play(platform, { url, clientId: "kim и 👨‍👩‍👧" });
        const sessionId = await sessionOf(subject);
        assert.deepEqual(await sessionsOf(port), new Map([["kim и 👨‍👩‍👧", sessionId]]));
        await using newer = await WsClient.establish(port, "kim и 👨‍👩‍👧");
        const { code, reason, waitMs } = await endOf(subject);
        assert.deepEqual([code, reason, waitMs], [4409, "replaced by a newer connection", undefined]);
        assert.deepEqual(await subject.timers(), []);
        assert.ok(newer.isOpen);
      });
      await t.step("refused, since it takes over from nobody", async () => {
        await using holder = await WsClient.establish(port, "kim");
        await using subject = await play(platform, { url: `${url}?takeover=no`, clientId: "kim" });
        const { code, reason, waitMs } = await endOf(subject);
        assert.deepEqual([code, reason, waitMs], [4408, "the client is connected already", undefined]);
        assert.deepEqual(await subject.timers(), []);
        assert.ok(holder.isOpen);
      });
      await t.step("its server frozen for longer than a lease", async () => {
        await using subject = await play(platform, { url, clientId: "frozen" });
        const before = await sessionOf(subject);
        server.program.kill("SIGSTOP");
        await using other = await startServer("ws-server", ["--redis", redis.url, "--lease", "5"]);
        await untilListed(other.port, []); // the others no longer count on it
        assert.deepEqual(await subject.untold(), []);
        server.program.kill("SIGCONT");
        const { code, waitMs } = await endOf(subject);
        assert.ok([1006, 1013].includes(code), `it is told, or cut where there is no time left: ${code}`);
        await subject.advance(waitMs!);
        assert.notEqual(await sessionAtLast(subject), before);
      });
      await t.step("its Redis away: for a moment, and without its data then", async () => {
        await using subject = await play(platform, { url, clientId: "kim" });
        const sessionId = await sessionOf(subject);
        await redis.kill();
        await redis.restart();
        await until(
          async () => (await sessionsOf(port)).get("kim") === sessionId,
          "the session is announced again",
        );
        assert.deepEqual(await subject.untold(), []);
      });
      // to a client it is 1013 and 503, which are tried everywhere above; this takes its time
      if (name === "Deno") {
        await t.step("its Redis away for longer than a lease", async () => {
          await using subject = await play(platform, { url, clientId: "kim" });
          await sessionOf(subject);
          await redis.kill();
          const { code, waitMs } = await endOf(subject);
          assert.ok([1006, 1013].includes(code), `it is told, or cut where there is no time left: ${code}`);
          await subject.advance(waitMs!);
          const refused = await endOf(subject); // with 503
          assert.equal(refused.code, 1006);
          await redis.restart();
          await subject.advance(refused.waitMs!);
          await sessionAtLast(subject);
        });
      }
      await t.step("told to go, and there again", async () => {
        await using subject = await play(platform, { url, clientId: "kim" });
        await sessionOf(subject);
        assert.equal(await server.program.stop("SIGTERM"), 0);
        const { code, reason, waitMs } = await endOf(subject);
        assert.equal(code, 1001);
        const [, withinS] = /^the server is going away; reconnect within (\d+) s$/.exec(reason) ?? [];
        assert.equal(waitMs, 0.5 * 1000 * Number(withinS), reason);
        server = await startServer("ws-server", flags);
        await subject.advance(waitMs!);
        await sessionAtLast(subject);
      });
      await t.step("killed, and there again", async () => {
        await using subject = await play(platform, { url, clientId: "kim" });
        await sessionOf(subject);
        await server[Symbol.asyncDispose]();
        const { code, waitMs } = await endOf(subject);
        assert.equal(code, 1006);
        await subject.advance(waitMs!);
        const refused = await endOf(subject);
        server = await startServer("ws-server", flags);
        await subject.advance(refused.waitMs!);
        await sessionAtLast(subject);
      });
    } finally {
      await server[Symbol.asyncDispose]();
    }
  });
}
