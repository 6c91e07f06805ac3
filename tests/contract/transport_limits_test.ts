/** What one peer may send, and how much of it: beyond that it is ended, and nobody else notices. */

import assert from "node:assert/strict";
import { untilListed } from "../support/cluster.ts";
import { residentMiB } from "../support/process.ts";
import type { Server } from "../support/program.ts";
import { encodeFrame, OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { startOn, TRANSPORTS } from "../support/transports.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** How often a close frame may be overtaken. */
const MAX_ATTEMPTS = 20;

const TOO_BIG = { code: 1009, reason: "messages are limited to 64 KiB" };
const TOO_MANY = { code: 1008, reason: "too many messages" };

/** Writes the same bytes until so many have been written, or the server has ended the connection. */
async function pour(socket: RawWebSocket, bytes: Uint8Array, totalBytes: number): Promise<number> {
  let written = 0;
  try {
    for (; written < totalBytes; written += bytes.length) await socket.write(bytes);
  } catch {
    // ended by the server
  }
  return written;
}

function times(count: number, frame: Uint8Array): Uint8Array {
  const all = new Uint8Array(count * frame.length);
  for (let i = 0; i < count; i++) all.set(frame, i * frame.length);
  return all;
}

/** How the connection of a hostile peer ended: the code of the close frame, where one could still be read. */
async function endOf(socket: RawWebSocket): Promise<number | "cut"> {
  for (let frame; (frame = await socket.frame()) !== undefined;) {
    if (frame.opcode === OPCODES.close) return (frame.payload[0]! << 8) | frame.payload[1]!;
  }
  return "cut";
}

/**
 * How the server ends one that sends this again and again. A process that was kept from its work reads at once what has come in
 * several seconds, and allows for it. Where it ends the connection before it has read all, the reset may overtake the close
 * frame: then another has to see it.
 */
async function endOfFlood(server: Server, bytes: Uint8Array): Promise<{ code: number; reason: string }> {
  for (let attempts = 1;; attempts++) {
    using flooder = await RawWebSocket.connect(server.port, "flooder");
    await flooder.text();
    let isOver = false;
    const closing = flooder.close().then(({ code, reason }) => ({ code, reason }), (error) => error as Error)
      .finally(() => isOver = true);
    await until(async () => {
      if (!isOver) await flooder.write(bytes).catch(() => {});
      return isOver;
    }, "it is closed");
    const end = await closing;
    await flooder.gone;
    if (!(end instanceof Error)) return end;
    if (attempts === MAX_ATTEMPTS) throw end;
  }
}

async function onlyWitness(server: Server, witness: WsClient): Promise<void> {
  assert.equal((await untilListed(server.port, ["witness"])).get("witness"), await witness.sessionId);
  assert.ok(witness.isOpen);
}

for (const transport of TRANSPORTS) {
  Deno.test(`${transport}: a message over 64 KiB ends the session with 1009, one of 64 KiB does not`, async () => {
    await using server = await startOn(transport);
    await using witness = await WsClient.establish(server.port, "witness");
    using full = await RawWebSocket.connect(server.port, "full");
    await full.text();
    for (const message of ["x".repeat(64 * KIB), "я".repeat(32 * KIB)]) {
      await full.send(OPCODES.text, message);
    }
    await full.send(OPCODES.binary, new Uint8Array(64 * KIB));
    await full.send(OPCODES.ping, "alive?");
    assert.equal(await full.pong(), "alive?");
    full[Symbol.dispose]();
    using raw = await RawWebSocket.connect(server.port, "raw");
    await raw.text();
    await raw.send(OPCODES.text, "x".repeat(64 * KIB + 1));
    assert.equal((await raw.close()).code, TOO_BIG.code);
    await using max = await WsClient.establish(server.port, "max");
    max.send("я".repeat(32 * KIB) + "!");
    assert.deepEqual(await max.end(), TOO_BIG);
    await onlyWitness(server, witness);
  });

  Deno.test(`${transport}: a message of 64 KiB in 100 fragments is one message`, async () => {
    await using server = await startOn(transport);
    await using witness = await WsClient.establish(server.port, "witness");
    using piecemeal = await RawWebSocket.connect(server.port, "piecemeal");
    await piecemeal.text();
    await piecemeal.send(OPCODES.binary, "", { fin: false });
    const fragment = new Uint8Array(Math.floor(64 * KIB / 100));
    for (let i = 0; i < 100; i++) await piecemeal.send(OPCODES.continuation, fragment, { fin: false });
    await piecemeal.send(OPCODES.continuation, "");
    await piecemeal.send(OPCODES.ping, "alive?");
    assert.equal(await piecemeal.pong(), "alive?");
    assert.ok(witness.isOpen);
  });

  Deno.test(`${transport} --max-messages: the one over it is closed with 1008, whatever the messages are`, async () => {
    await using server = await startOn(transport, ["--max-messages", "20"]);
    await using witness = await WsClient.establish(server.port, "witness");
    for (let i = 0; i < 20; i++) witness.send("as many as there may be");
    for (const opcode of [OPCODES.text, OPCODES.binary]) {
      const bytes = times(21, encodeFrame(opcode, Uint8Array.of(120)));
      assert.deepEqual(await endOfFlood(server, bytes), TOO_MANY);
    }
    await onlyWitness(server, witness);
  });

  Deno.test(`${transport}: one that floods on after its close is cut`, async () => {
    await using server = await startOn(transport);
    await using witness = await WsClient.establish(server.port, "witness");
    using flooder = await RawWebSocket.connect(server.port, "flooder", { answersClose: false });
    await flooder.text();
    const bytes = times(5_000, encodeFrame(OPCODES.text, Uint8Array.of(120)));
    assert.ok(await pour(flooder, bytes, 512 * MIB) < 512 * MIB);
    assert.match(String(await endOf(flooder)), /^(1008|cut)$/);
    await onlyWitness(server, witness);
  });

  Deno.test(`${transport}: a text of 600 MiB in fragments ends that one connection, not the process`, async () => {
    await using server = await startOn(transport);
    await using witness = await WsClient.establish(server.port, "witness");
    using giant = await RawWebSocket.connect(server.port, "giant");
    await giant.text();
    const fragment = encodeFrame(OPCODES.continuation, new Uint8Array(60 * MIB).fill(120), { fin: false });
    await giant.send(OPCODES.text, "", { fin: false });
    await pour(giant, fragment, 10 * fragment.length);
    await giant.send(OPCODES.continuation, "").catch(() => {}); // it has been ended already
    await giant.gone;
    await onlyWitness(server, witness);
  });
}

/** Fragments without an end, from 8 connections, 64 MiB each. */
async function fragmentsWithoutEnd(server: Server): Promise<{ cut: number; grownMiB: number }> {
  const sockets = await Promise.all(
    Array.from({ length: 8 }, (_, i) => RawWebSocket.connect(server.port, `endless ${i}`)),
  );
  const before = await residentMiB(server.program.pid);
  const fragment = encodeFrame(OPCODES.continuation, new Uint8Array(16 * KIB), { fin: false });
  const pong = encodeFrame(OPCODES.pong, new Uint8Array()); // keeps the heartbeat content
  const bytes = Uint8Array.from([...times(8, fragment), ...pong]);
  const written = await Promise.all(sockets.map(async (socket) => {
    await socket.text();
    await socket.send(OPCODES.binary, "", { fin: false }).catch(() => {});
    return await pour(socket, bytes, 64 * MIB);
  }));
  const grownMiB = await residentMiB(server.program.pid) - before;
  for (const socket of sockets) socket[Symbol.dispose]();
  return { cut: written.filter((bytes) => bytes < 64 * MIB).length, grownMiB };
}

Deno.test("node: fragments without an end are cut, and take less than 100 MiB", async () => {
  await using server = await startOn("node");
  await using witness = await WsClient.establish(server.port, "witness");
  const { cut, grownMiB } = await fragmentsWithoutEnd(server);
  assert.equal(cut, 8);
  assert.ok(grownMiB < 100, `${grownMiB} MiB more than before`);
  await onlyWitness(server, witness);
});

Deno.test("deno: fragments without an end are kept, for which there is no remedy; the memory comes back when they leave", async () => {
  await using server = await startOn("deno");
  await using witness = await WsClient.establish(server.port, "witness");
  const { cut, grownMiB } = await fragmentsWithoutEnd(server);
  // a process that is kept from reading for longer than the heartbeat cuts some of them, as anyone who is silent
  assert.ok(cut < 8, "this row can go: Deno bounds a message while it arrives");
  assert.ok(grownMiB > 32, `${grownMiB} MiB more than before, and one that is kept holds 64`);
  await onlyWitness(server, witness);
});

Deno.test("node: fragments, PINGs and PONGs that flood are ended like messages", async () => {
  await using server = await startOn("node");
  await using witness = await WsClient.establish(server.port, "witness");
  const floods: Record<string, Uint8Array> = {
    "empty fragments": encodeFrame(OPCODES.continuation, new Uint8Array(), { fin: false }),
    "PINGs": encodeFrame(OPCODES.ping, new Uint8Array(100)),
    "PONGs": encodeFrame(OPCODES.pong, new Uint8Array()),
  };
  for (const [what, frame] of Object.entries(floods)) {
    using flooder = await RawWebSocket.connect(server.port, "flooder");
    await flooder.text();
    if (what === "empty fragments") await flooder.send(OPCODES.text, "", { fin: false });
    assert.ok(await pour(flooder, times(10_000, frame), 256 * MIB) < 256 * MIB, what);
    assert.match(String(await endOf(flooder)), /^(1008|cut)$/, what);
  }
  await onlyWitness(server, witness);
});

Deno.test("deno: PINGs that flood are answered, for which there is no remedy", async () => {
  await using server = await startOn("deno");
  using flooder = await RawWebSocket.connect(server.port, "flooder");
  await flooder.text();
  await pour(flooder, times(1000, encodeFrame(OPCODES.ping, Uint8Array.of(1))), 7_000);
  for (let i = 0; i < 1000; i++) assert.equal((await flooder.frame())?.opcode, OPCODES.pong);
});

Deno.test("node: a peer that floods PINGs and reads no answer is ended, and takes no memory", async () => {
  await using server = await startOn("node", ["--max-messages", "1000000"]);
  await using witness = await WsClient.establish(server.port, "witness");
  using flooder = await RawWebSocket.connect(server.port, "flooder", { read: false });
  const before = await residentMiB(server.program.pid);
  await pour(flooder, times(1000, encodeFrame(OPCODES.ping, new Uint8Array(125))), 64 * MIB);
  const grownMiB = await residentMiB(server.program.pid) - before;
  assert.ok(grownMiB < 100, `${grownMiB} MiB more than before`);
  assert.ok(witness.isOpen);
});
