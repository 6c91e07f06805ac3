/**
 * What a client may send by RFC 6455, and may not, and what each transport makes of it. Where one does not do what the RFC
 * asks for the table says so, and whatever it is, nobody else notices and no descriptor stays.
 */

import assert from "node:assert/strict";
import { sessionsOf, untilListed } from "../support/cluster.ts";
import { openDescriptors } from "../support/process.ts";
import { encodeFrame, type FrameOptions, OPCODES, RawWebSocket } from "../support/raw_websocket.ts";
import { type Each, of, startOn, TRANSPORTS } from "../support/transports.ts";
import { PATIENCE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const { continuation, text, binary, close, ping, pong } = OPCODES;

/** How long nothing comes where nothing should. */
const SILENCE_MS = 300;

type Outcome =
  /** The session goes on: a PING sent after it is answered. */
  | "lives"
  /** The connection is ended without a close frame. */
  | "ends"
  /** Nothing is answered, the rest of a frame is awaited; the heartbeat ends it in the end. */
  | "waits"
  /** A close frame with this code, then the end; 1005 stands for a close frame without one. */
  | number;

type Case = [what: string, bytes: Uint8Array, outcome: Each<Outcome>];

/** A breach of the protocol: Deno ends the connection without the close frame that section 7.1.7 asks for. */
const broken = { deno: "ends", node: 1002 } as const;
/** The same for a text that is none, section 8.1. */
const notUtf8 = { deno: "ends", node: 1007 } as const;

const bytesOf = (...parts: (string | number[])[]): number[] =>
  parts.flatMap((part) => typeof part === "string" ? [...new TextEncoder().encode(part)] : part);

const frame = (opcode: number, payload: string | number[] = "", options?: FrameOptions) =>
  encodeFrame(opcode, Uint8Array.from(bytesOf(payload)), options);

const all = (...frames: Uint8Array[]) => Uint8Array.from(frames.flatMap((bytes) => [...bytes]));

const more = { fin: false };

/** The payload of a close frame. */
const reason = (code: number, why = "") => bytesOf([code >> 8, code & 0xff], why);

const FRAGMENTATION: Case[] = [
  ["an unfragmented text", frame(text, "hi"), "lives"],
  ["an empty text", frame(text), "lives"],
  ["a binary message", frame(binary, [0, 255]), "lives"],
  [
    "a text in three fragments",
    all(frame(text, "a", more), frame(continuation, "b", more), frame(continuation, "c")),
    "lives",
  ],
  [
    "empty fragments",
    all(frame(text, "", more), frame(continuation, "", more), frame(continuation)),
    "lives",
  ],
  [
    "a PING between fragments",
    all(frame(text, "a", more), frame(ping, "p"), frame(continuation, "b")),
    "lives",
  ],
  ["a close between fragments", all(frame(text, "a", more), frame(close, reason(1000))), 1000],
  ["a new text between fragments", all(frame(text, "a", more), frame(text, "b")), broken],
  ["a last fragment without a first", frame(continuation, "a"), broken],
  ["a middle fragment without a first", frame(continuation, "a", more), broken],
];

const HEADERS: Case[] = [
  ...[1, 2, 4].map((reserved): Case => [`reserved bits ${reserved}`, frame(text, "a", { reserved }), broken]),
  ["a reserved bit on a PING", frame(ping, "a", { reserved: 4 }), broken],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((
    opcode,
  ): Case => [`reserved opcode ${opcode}`, frame(opcode, "a"), broken]),
  ["a mask that is not zero", Uint8Array.from([0x81, 0x82, 1, 2, 3, 4, 0x61 ^ 1, 0x62 ^ 2]), "lives"],
  // section 5.1 asks to close here; Deno takes them
  ["an unmasked text", frame(text, "a", { masked: false }), { deno: "lives", node: 1002 }],
  ["an unmasked PING", frame(ping, "a", { masked: false }), { deno: "lives", node: 1002 }],
  ["an unmasked close", frame(close, reason(1000), { masked: false }), { deno: 1000, node: 1002 }],
  ["half a header", Uint8Array.from([0x81]), "waits"],
  ["a request of HTTP", new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), broken],
];

const LENGTHS: Case[] = [
  [
    "a length in more bytes than needed, 16 bits",
    Uint8Array.from([0x81, 0xfe, 0, 1, 0, 0, 0, 0, 0x61]),
    "lives",
  ],
  [
    "a length in more bytes than needed, 64 bits",
    Uint8Array.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x61]),
    "lives",
  ],
  [
    "a length with the highest bit",
    Uint8Array.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
    { deno: "ends", node: 1009 },
  ],
  ["64 MiB announced", frame(binary, "", { claimedLength: 2 ** 26 }), { deno: "ends", node: 1009 }],
  ["63 MiB announced, nothing sent", frame(binary, "", { claimedLength: 63 * 2 ** 20 }), {
    deno: "waits",
    node: 1009,
  }],
  ["more announced than sent", frame(text, "abc", { claimedLength: 100 }), "waits"],
  ["less announced than sent", frame(text, "abcdefgh", { claimedLength: 3 }), broken],
];

const CONTROL: Case[] = [
  ["a PING with 125 bytes", frame(ping, "x".repeat(125)), "lives"],
  ["a PONG that nobody asked for", frame(pong, "x"), "lives"],
  ["a PING with 126 bytes", frame(ping, "x".repeat(126)), broken],
  // section 5.5 forbids both; Deno takes them
  ["a PONG with 126 bytes", frame(pong, "x".repeat(126)), { deno: "lives", node: 1002 }],
  ["a close with 126 bytes", frame(close, reason(1000, "x".repeat(124))), { deno: 1000, node: 1002 }],
  ["a fragmented PING", frame(ping, "a", more), broken],
  ["a fragmented close", frame(close, reason(1000), more), broken],
];

const CLOSES: Case[] = [
  ["a close without a code", frame(close), 1005],
  ["a close with half a code", frame(close, [3]), broken],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4409, 4999].map(
    (code): Case => [`a close with ${code}`, frame(close, reason(code)), code],
  ),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map(
    (code): Case => [`a close with ${code}, which may not be sent`, frame(close, reason(code)), 1002],
  ),
  // registered after the RFC
  ["a close with 1014", frame(close, reason(1014)), { deno: 1002, node: 1014 }],
  ["a close with a reason", frame(close, reason(1000, "до свидания")), 1000],
  ["a close with a reason that is no UTF-8", frame(close, bytesOf(reason(1000), [0xff])), notUtf8],
  ["a text after the close", all(frame(close, reason(1000)), frame(text, "late")), 1000],
  ["two closes", all(frame(close, reason(1000)), frame(close, reason(1000))), 1000],
];

const UTF8: Case[] = [
  ["a text of one broken byte", frame(text, [0xff]), notUtf8],
  ["a text cut off in a character", frame(text, [0xe2, 0x82]), notUtf8],
  ["a surrogate", frame(text, [0xed, 0xa0, 0x80]), notUtf8],
  ["an overlong form", frame(text, [0xc0, 0xaf]), notUtf8],
  ["beyond the last code point", frame(text, [0xf4, 0x90, 0x80, 0x80]), notUtf8],
  ["a character split over fragments", all(frame(text, [0xd0], more), frame(continuation, [0xb0])), "lives"],
  ["a broken character over fragments", all(frame(text, [0xd0], more), frame(continuation, "A")), notUtf8],
  // may be noticed late, when the message is complete
  ["a broken first fragment", frame(text, [0xff], more), { deno: "ends", node: "lives" }],
  ["broken bytes in a binary message", frame(binary, [0xff]), "lives"],
];

const CHAPTERS = {
  "fragmentation (5.4)": FRAGMENTATION,
  "frame headers (5.2)": HEADERS,
  "lengths (5.2)": LENGTHS,
  "control frames (5.5)": CONTROL,
  "closing (5.5.1, 7.4)": CLOSES,
  "UTF-8 (8.1)": UTF8,
};

for (const transport of TRANSPORTS) {
  for (const [chapter, cases] of Object.entries(CHAPTERS)) {
    Deno.test(`${transport} and RFC 6455, ${chapter}: nobody else notices, and nothing is left`, async (t) => {
      await using server = await startOn(transport);
      await using witness = await WsClient.establish(server.port, "witness");
      await sessionsOf(server.port); // the connection that this is asked by is kept
      const before = await openDescriptors(server.program.pid);
      for (const [what, bytes, outcomes] of cases) {
        const outcome = of(outcomes, transport);
        await t.step(`${what}: ${outcome}`, async () => {
          const patienceMs = outcome === "waits" ? SILENCE_MS : PATIENCE_MS;
          assert.equal(await outcomeOf(server.port, bytes, patienceMs), outcome);
        });
      }
      assert.equal((await untilListed(server.port, ["witness"])).get("witness"), await witness.sessionId);
      assert.ok(witness.isOpen);
      const isClosed = async () => await openDescriptors(server.program.pid) <= before + 1;
      await until(isClosed, "every descriptor is closed");
    });
  }
}

/** Sends bytes on an established session and sees what comes of it. */
async function outcomeOf(port: number, bytes: Uint8Array, patienceMs: number): Promise<Outcome> {
  using socket = await RawWebSocket.connect(port, "subject");
  await socket.text();
  await socket.write(bytes);
  await socket.send(ping, "probe").catch(() => {}); // it may have been ended already
  for (;;) {
    let answer;
    try {
      answer = await socket.frame(patienceMs);
    } catch {
      return "waits";
    }
    if (answer === undefined) return "ends";
    if (answer.opcode === close) {
      await socket.gone;
      return answer.payload.length < 2 ? 1005 : (answer.payload[0]! << 8) | answer.payload[1]!;
    }
    if (new TextDecoder().decode(answer.payload) === "probe") return "lives";
  }
}
