/** PING after 5 s of silence, the end 5 s later. */

import assert from "node:assert/strict";
import { sessionsOf, untilListed } from "../support/cluster.ts";
import { OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { Subprocess } from "../support/subprocess.ts";
import { startOn, TRANSPORTS } from "../support/transports.ts";
import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import { until } from "../support/wait.ts";

/**
 * Nothing comes earlier than this; that it may come later on a busy machine is no fault. What is counted begins with the
 * last frame that the server had of the client, and a tick of its timer is 0.25 s.
 */
const PING_MS = 4_700;
const END_MS = 9_500;

const CLIENT = new URL("../support/frozen_client.ts", import.meta.url);

// One test, since each part waits for more than ten seconds: they wait together.
Deno.test(`${TRANSPORTS.join(", ")}: heartbeat`, async () => {
  const failures = await Promise.all(TRANSPORTS.map(failuresOf));
  assert.deepEqual(failures.flat(), []);
});

/** All that is wrong with the heartbeat of one transport. */
async function failuresOf(transport: TransportName): Promise<string[]> {
  await using server = await startOn(transport);
  const connect = (clientId: string, options: { answersClose?: boolean } = {}) =>
    RawWebSocket.connect(server.port, clientId, { answersPings: false, ...options });
  const parts: Record<string, () => Promise<void>> = {
    "a silent client gets PING after 5 s and is closed with 1001 after 10 s": async () => {
      const startMs = performance.now();
      using silent = await connect("silent");
      await silent.text();
      const ping = await silent.frame();
      assert.equal(ping?.opcode, OPCODES.ping);
      assert.ok(ping!.atMs - startMs > PING_MS, `PING after ${ping!.atMs - startMs} ms`);
      const end = await silent.frame();
      assert.equal(end?.opcode, OPCODES.close, "one PING is enough");
      const { payload, atMs } = end!;
      assert.deepEqual([...payload.subarray(0, 2)], [1001 >> 8, 1001 & 255]);
      assert.equal(new TextDecoder().decode(payload.subarray(2)), "No response from ping frame.");
      assert.ok(atMs - startMs > END_MS, `the end after ${atMs - startMs} ms`);
      await until(async () => !(await sessionsOf(server.port)).has("silent"), "its session is deleted");
    },

    "a silent client that does not answer the close is cut": async () => {
      using deaf = await connect("deaf", { answersClose: false });
      await deaf.text();
      assert.equal((await deaf.frame())?.opcode, OPCODES.ping);
      assert.equal((await deaf.close()).code, 1001);
      await deaf.gone;
    },

    "a client that answers PING stays": async () => {
      using polite = await connect("polite");
      await polite.text();
      for (let pings = 1; pings <= 3; pings++) { // without an answer to the first it would have ended with the second
        const ping = await polite.frame();
        assert.equal(ping?.opcode, OPCODES.ping, `frame ${pings}`);
        await polite.send(OPCODES.pong, ping!.payload);
      }
      assert.ok((await sessionsOf(server.port)).has("polite"));
    },

    "a client that talks is not ended, whatever it says, and its PING is answered": async () => {
      using talker = await connect("talker");
      await talker.text();
      const said = [OPCODES.text, OPCODES.binary, OPCODES.pong];
      for (let i = 0; i < 12; i++) {
        await talker.send(said[i % 3]!, "still here");
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      await talker.send(OPCODES.ping, "are you there?");
      assert.equal(await talker.pong(), "are you there?");
    },

    "a client frozen by SIGSTOP is cut, and its session deleted": async () => {
      const args = ["run", "-q", "--allow-net", CLIENT.pathname, String(server.port), "frozen"];
      await using client = new Subprocess("client", [Deno.execPath(), ...args]);
      await client.line(/^[0-9a-f-]{36}$/);
      client.kill("SIGSTOP");
      await until(async () => !(await sessionsOf(server.port)).has("frozen"), "its session is deleted");
    },

    "one that sends the bytes of a frame one by one and never its end is silent": async () => {
      using dripping = await connect("dripping");
      await dripping.text();
      await dripping.write(Uint8Array.of(0x82, 0xfe, 0x10, 0, 0, 0, 0, 0)); // 4 KiB are to come
      let ended = false;
      dripping.gone.then(() => ended = true);
      await until(
        async () => {
          await dripping.write(Uint8Array.of(1)).catch(() => {});
          return ended;
        },
        "it is ended",
      );
    },
  };

  const results = await Promise.allSettled(Object.values(parts).map((part) => part()));
  await untilListed(server.port, []);
  return Object.keys(parts).flatMap((name, i) => {
    const result = results[i]!;
    return result.status === "rejected" ? [`${transport}: ${name}: ${result.reason}`] : [];
  });
}
