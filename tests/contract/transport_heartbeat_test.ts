/** PING after 5 s of silence, the end 5 s later. */

import assert from "node:assert/strict";
import { sessionsOf } from "../support/cluster.ts";
import { startServer } from "../support/program.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { until } from "../support/wait.ts";

/** What a busy machine may add to each wait. */
const SLACK_MS = 3000;

const CLIENT = new URL("../support/frozen_client.ts", import.meta.url);

function near(actualMs: number, expectedMs: number, what: string): void {
  const ok = actualMs > expectedMs - 500 && actualMs < expectedMs + SLACK_MS;
  assert.ok(ok, `${what} after ${Math.round(actualMs)} ms, expected ${expectedMs}`);
}

// One test, since each part waits for more than ten seconds: they wait together.
Deno.test("ws-server: heartbeat", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);

  const parts: Record<string, () => Promise<void>> = {
    "a silent client gets PING after 5 s and is closed with 1001 after 10 s": async () => {
      const startMs = performance.now();
      using silent = await RawWebSocket.connect(server.port, "silent");
      await silent.text();
      const ping = await silent.frame();
      assert.equal(ping?.opcode, OPCODES.ping);
      near(ping!.atMs - startMs, 5000, "PING");
      const { code, atMs } = await silent.close();
      assert.equal(code, 1001);
      near(atMs - startMs, 10_000, "close");
      await until(async () => !(await sessionsOf(server.port)).has("silent"), "its session is deleted");
    },

    "a client that answers PING stays": async () => {
      const startMs = performance.now();
      using polite = await RawWebSocket.connect(server.port, "polite");
      await polite.text();
      for (let pings = 1; pings <= 2; pings++) {
        const ping = await polite.frame();
        assert.equal(ping?.opcode, OPCODES.ping);
        near(ping!.atMs - startMs, pings * 5000, `PING ${pings}`);
        await polite.send(OPCODES.pong, ping!.payload);
      }
      assert.ok((await sessionsOf(server.port)).has("polite"));
    },

    "a client that talks is not pinged": async () => {
      using talker = await RawWebSocket.connect(server.port, "talker");
      await talker.text();
      for (let i = 0; i < 8; i++) {
        await talker.send(i % 2 ? OPCODES.text : OPCODES.binary, "still here");
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      await talker.send(OPCODES.ping, "are you there?");
      const answer = await talker.frame();
      assert.equal(
        answer?.opcode,
        OPCODES.pong,
        "the first frame after the session_id is the answer to our PING",
      );
      assert.equal(new TextDecoder().decode(answer!.payload), "are you there?");
    },

    "a client frozen by SIGSTOP is cut, and its session deleted": async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-q", "--allow-net", CLIENT.pathname, String(server.port), "frozen"],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const lines = child.stdout.getReader();
      await lines.read();
      child.kill("SIGSTOP");
      const startMs = performance.now();
      await until(async () => !(await sessionsOf(server.port)).has("frozen"), "its session is deleted");
      near(performance.now() - startMs, 10_000, "the end");
      child.kill("SIGKILL");
      await lines.cancel();
      await child.status;
    },
  };

  const results = await Promise.allSettled(Object.values(parts).map((part) => part()));
  const failures = Object.keys(parts).flatMap((name, i) => {
    const result = results[i]!;
    return result.status === "rejected" ? [`${name}: ${result.reason}`] : [];
  });
  assert.deepEqual(failures, []);
});
