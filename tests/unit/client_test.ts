/** The reference client as a file, and its table; what it does is tested where it runs. */

import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { CLOSE_CODES } from "../../lib/sessions/close_codes.ts";
import { CLIENT_SCRIPT } from "../../lib/sessions/http/static_file.ts";
import { connect } from "../../lib/sessions/page/client.js";
import { closeCodeTable } from "../support/close_code_table.ts";

const SOURCE = new URL("../../lib/sessions/page/client.js", import.meta.url);
const PROTOCOL = new URL("../../docs/sessions-protocol.md", import.meta.url);

const MAX_BYTES = 2048;

Deno.test({
  name: "client.js: is at most 2 KB compressed, and needs nothing else",
  permissions: { read: [SOURCE] },
  fn: () => {
    const source = Deno.readTextFileSync(SOURCE);
    const { length } = gzipSync(source, { level: 9 });
    assert.ok(length <= MAX_BYTES, `it has ${length} bytes`);
    assert.doesNotMatch(source, /\bimport\b(?!\()|\brequire\(/);
  },
});

Deno.test({
  name: "CLIENT_SCRIPT: is the file, compressed where that is taken, and not sent twice",
  permissions: { read: [SOURCE] },
  fn: async () => {
    const answer = (headers = {}, method = "GET") =>
      CLIENT_SCRIPT.answer(new Request("http://localhost/client.js", { headers, method }));
    assert.equal(await answer().text(), Deno.readTextFileSync(SOURCE));
    const compressed = answer({ "accept-encoding": "gzip" });
    const { headers } = compressed;
    assert.equal(gunzipSync(await compressed.bytes()).toString(), Deno.readTextFileSync(SOURCE));
    assert.equal(headers.get("content-type"), "text/javascript; charset=utf-8");
    assert.equal(headers.get("content-encoding"), "gzip");
    assert.equal(answer({ "if-none-match": headers.get("etag")! }).status, 304);
    assert.equal(await answer({}, "HEAD").text(), "");
  },
});

Deno.test({
  name: "connect: throws where the address is none, before anything is tried",
  permissions: "none",
  fn: () => {
    assert.throws(() => connect("no address", {}), TypeError);
    assert.throws(() => connect("ws://", {}), TypeError);
  },
});

Deno.test({
  name:
    "the table of close codes in the protocol: has every code that the server closes with, and its advice",
  permissions: { read: [PROTOCOL] },
  fn: () => {
    const table = closeCodeTable(Deno.readTextFileSync(PROTOCOL));
    for (const { code, reason, after } of Object.values(CLOSE_CODES)) {
      const row = table.find((row) => row.codes.includes(code) && row.reason === reason);
      assert.ok(row, `${code} ${reason} is in the table`);
      assert.equal(row.after, after, `what to do after ${code}`);
    }
  },
});
