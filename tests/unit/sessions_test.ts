/** The parts of the session service that need no socket. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientIdError, MAX_CLIENT_ID_BYTES, parseClientId } from "../../lib/sessions/client_id.ts";
import { CLOSE_CODES } from "../../lib/sessions/close_codes.ts";
import { JSON_LISTING, listingStream, TEXT_LISTING } from "../../lib/sessions/http/listing.ts";
import { parseLine } from "../../lib/sessions/registry/redis/line.ts";
import type { SessionEntry } from "../../lib/sessions/session_entry.ts";
import { Attention } from "../../lib/sessions/transport/attention.ts";
import { DenoConnection } from "../../lib/sessions/transport/deno_connection.ts";

const permissions = "none";

function entry(clientId: string, sessionId = "s"): SessionEntry {
  return { clientId, sessionId, node: "n", epoch: 7, connectedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) };
}

Deno.test({
  name: "parseClientId: whatever it accepts is short, printable and comes back from a line of /sessions",
  permissions,
  fn: () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      if (!text.isWellFormed()) return;
      let clientId: string;
      try {
        clientId = parseClientId(`client_id=${encodeURIComponent(text)}`);
      } catch (error) {
        assert.ok(error instanceof ClientIdError);
        return;
      }
      assert.equal(clientId, text);
      assert.ok(new TextEncoder().encode(clientId).length <= MAX_CLIENT_ID_BYTES);
      const sessionId = crypto.randomUUID();
      const lines = TEXT_LISTING.page([entry(clientId, sessionId)], true).split(
        /[\n\r\u0085\u2028\u2029\v\f]/,
      );
      assert.deepEqual(lines, [`${clientId} ${sessionId}`, ""]);
    }));
  },
});

Deno.test({
  name: "parseClientId: other parameters do not matter, a plus is a space as in every form",
  permissions,
  fn: () => {
    assert.equal(parseClientId("v=2&client_id=kim&x"), "kim");
    assert.equal(parseClientId("client_id=a+b"), "a b");
    assert.equal(parseClientId("client_id=a%2Bb"), "a+b");
  },
});

Deno.test({
  name: "CLOSE_CODES: reasons fit a close frame, codes are ones that an application may send",
  permissions,
  fn: () => {
    for (const { code, reason } of Object.values(CLOSE_CODES)) {
      assert.ok(new TextEncoder().encode(reason).length <= 123);
      assert.ok([1001, 1002, 1007, 1008, 1009, 1013].includes(code) || (code >= 4000 && code < 5000));
    }
  },
});

Deno.test({
  name: "parseLine: a line of several, the oldest first",
  permissions,
  fn: () => {
    const holders = parseLine("kim", "s1 n1 1 10 e|s2 n2 2 20 w|s3 n1 3 30 v");
    assert.deepEqual(holders.map(({ sessionId }) => sessionId), ["s1", "s2", "s3"]);
    assert.deepEqual(holders.map(({ established }) => established), [true, false, false]);
    assert.deepEqual(holders[2], {
      clientId: "kim",
      sessionId: "s3",
      node: "n1",
      epoch: 3,
      connectedAtMs: 30,
      established: false,
    });
  },
});

async function textOf(pages: SessionEntry[][], format: typeof TEXT_LISTING): Promise<string> {
  async function* iterate() {
    for (const page of pages) yield await Promise.resolve(page);
  }
  return await new Response(await listingStream(iterate(), format)).text();
}

Deno.test({
  name: "listingStream: text is a line each, nothing when nobody is there",
  permissions,
  fn: async () => {
    assert.equal(await textOf([], TEXT_LISTING), "");
    assert.equal(await textOf([[entry("a")], [entry("b c"), entry("d")]], TEXT_LISTING), "a s\nb c s\nd s\n");
  },
});

Deno.test({
  name: "listingStream: JSON is an array, whatever the number of pages",
  permissions,
  fn: async () => {
    assert.deepEqual(JSON.parse(await textOf([], JSON_LISTING)), []);
    const shown = JSON.parse(await textOf([[entry("a")], [entry('"b"'), entry("c")]], JSON_LISTING));
    assert.deepEqual(shown.map((one: { client_id: string }) => one.client_id), ["a", '"b"', "c"]);
    assert.deepEqual(shown[0], {
      client_id: "a",
      session_id: "s",
      node: "n",
      epoch: 7,
      connected_at: "2026-01-02T03:04:05.678Z",
    });
  },
});

Deno.test({
  name: "listingStream: a reader that leaves ends the reading",
  permissions,
  fn: async () => {
    let ended = false;
    async function* endless() {
      try {
        while (true) yield await Promise.resolve([entry("a")]);
      } finally {
        ended = true;
      }
    }
    const reader = (await listingStream(endless(), TEXT_LISTING)).getReader();
    await reader.read();
    await reader.cancel();
    assert.equal(ended, true);
  },
});

Deno.test({
  name: "listingStream: a store that is out of reach is an error before the first byte",
  permissions,
  fn: async () => {
    async function* broken(): AsyncGenerator<SessionEntry[]> {
      yield await Promise.reject(new Error("no Redis"));
    }
    await assert.rejects(listingStream(broken(), TEXT_LISTING), /no Redis/);
  },
});

Deno.test({
  name:
    "DenoConnection: a message without data, as the platform makes at the end of a silent socket, does no harm",
  permissions,
  fn: () => {
    using attention = new Attention({ maxMessages: 100, onAwake: () => {}, onTick: () => {} });
    const told: string[] = [];
    const socket = new EventTarget() as WebSocket;
    new DenoConnection(
      { attention, onOpen: () => {}, onClosing: () => {}, onGone: () => {} },
      socket,
      {
        onOpen: () => told.push("open"),
        onFault: (fault) => told.push(fault),
        onEnd: (code) => told.push(String(code)),
      },
    );
    socket.dispatchEvent(new Event("open"));
    for (const data of [null, "text", new ArrayBuffer(1)]) {
      socket.dispatchEvent(new MessageEvent("message", { data }));
    }
    assert.deepEqual(told, ["open"]);
  },
});
