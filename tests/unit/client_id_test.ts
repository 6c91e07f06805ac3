/** Which texts may be a client_id, wherever they come from. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { checkClientId, ClientIdError, findClientId, parseClientId } from "../../lib/sessions/client_id.ts";

const permissions = "none";

Deno.test({
  name: "checkClientId: characters that turn the text are refused, one by one and wherever they stand",
  permissions,
  fn: () => {
    const turns = [0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069];
    for (let code = 0x2000; code < 0x2100; code++) {
      for (const id of [String.fromCodePoint(code), `k${String.fromCodePoint(code)}m`]) {
        let refused = false;
        try {
          checkClientId(id);
        } catch (error) {
          assert.ok(error instanceof ClientIdError);
          refused = true;
        }
        const separator = code === 0x2028 || code === 0x2029;
        assert.equal(refused, separator || turns.includes(code), `U+${code.toString(16)}`);
      }
    }
  },
});

Deno.test({
  name: "checkClientId: names of all scripts, with the joiners and marks that they need",
  permissions,
  fn: () => {
    for (const id of ["Зоя", "علی‌رضا", "क्‍ष", "עברית\u200f", "👩‍🚀", "é", "a b", "'\"<>&", "Ω", "…"]) {
      checkClientId(id);
    }
  },
});

Deno.test({
  name: "checkClientId: half of a surrogate pair is no text",
  permissions,
  fn: () => {
    for (const id of ["\ud800", "k\udc00im"]) assert.throws(() => checkClientId(id), /not UTF-8/);
  },
});

Deno.test({
  name: "findClientId: nothing where there is none, else as parseClientId has it",
  permissions,
  fn: () => {
    assert.equal(findClientId(new URLSearchParams("x=1")), undefined);
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 20 }), (text) => {
      const query = new URLSearchParams({ client_id: text });
      const results = [() => findClientId(query), () => parseClientId(query.toString())].map((parse) => {
        try {
          return parse();
        } catch (error) {
          return (error as Error).message;
        }
      });
      assert.equal(results[0], results[1]);
    }));
    assert.throws(() => findClientId(new URLSearchParams("client_id=a&client_id=b")), /more than once/);
  },
});
