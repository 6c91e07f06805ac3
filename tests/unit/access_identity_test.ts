/** Who a client is, and who an operator: by what stands in a request. Tokens and keys have tests of their own. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  Access,
  type AccessOptions,
  type Admission,
  type Refusal,
} from "../../lib/sessions/http/access/access.ts";
import { Expiries } from "../../lib/sessions/http/access/expiries.ts";
import { Operators } from "../../lib/sessions/http/access/operators.ts";
import { AddressSet } from "../../lib/sessions/http/access/proxy_header.ts";
import { RESPONSE_HEADERS, withResponseHeaders } from "../../lib/sessions/transport/text.ts";
import { SeenTokens } from "../../lib/sessions/http/access/seen_tokens.ts";
import { findToken, protocolFor } from "../../lib/sessions/http/access/token_source.ts";

const permissions = "none";

interface Asked {
  query?: string;
  headers?: Record<string, string>;
  from?: string;
}

async function admit(
  options: Partial<AccessOptions>,
  { query = "", headers = {}, from = "10.0.0.1" }: Asked,
) {
  const access = await Access.open({ origins: [], hosts: [], ...options });
  return access.admit({ method: "GET", url: `http://localhost/?${query}`, headers: new Headers(headers) }, {
    remoteAddress: from,
  });
}

/** The client_id of an admission, else status and line. */
function told(decision: Admission | Refusal | Promise<unknown>): string {
  assert.ok("kind" in decision, "an answer at once");
  return decision.kind === "admitted" ? decision.clientId : `${decision.status} ${decision.line}`;
}

Deno.test({
  name: "Access.admit: with nothing configured anyone may be any client, at once",
  permissions,
  fn: async () => {
    assert.equal(told(await admit({}, { query: "client_id=kim" })), "kim");
    assert.match(told(await admit({}, { query: "" })), /^400 client_id is missing/);
    assert.match(told(await admit({}, { query: "client_id=a&client_id=a" })), /^400 .* more than once/);
    assert.match(told(await admit({}, { query: "client_id=%E2%80%AEmik" })), /^400 .* direction/);
    const access = await Access.open({ origins: [] });
    const decision = access.admit({
      method: "GET",
      url: "/?client_id=kim&token=a&token=b",
      headers: new Headers(),
    }, {
      remoteAddress: "::1",
    });
    assert.deepEqual(decision, { kind: "admitted", clientId: "kim", protocol: undefined });
    assert.equal(access.operable, false);
    assert.equal(
      access.admitOperator({ method: "GET", url: "/sessions", headers: new Headers() }),
      undefined,
    );
  },
});

const header = {
  kind: "header",
  name: "X-Client-Id",
  trusted: new AddressSet(["10.0.0.0/8", "127.0.0.1", "fd00::/8"]),
} as const;

for (
  const [what, asked, answer] of [
    ["from the proxy", {}, /^kim$/],
    ["from the proxy, in IPv6", { from: "fd12::1" }, /^kim$/],
    ["from the proxy, by a dual-stack socket", { from: "::ffff:127.0.0.1" }, /^kim$/],
    ["from elsewhere", { from: "11.0.0.1" }, /^403 connect through the proxy/],
    ["from elsewhere, in IPv6", { from: "fe80::1%eth0" }, /^403 connect through the proxy/],
    ["from no address", { from: "" }, /^403 connect through the proxy/],
    ["without the header", { headers: {} }, /^403 the proxy has not said/],
    ["with an empty header", { headers: { "x-client-id": "" } }, /^403 the proxy has not said/],
    ["with the same client_id", { query: "client_id=kim" }, /^kim$/],
    ["with another client_id", { query: "client_id=lee" }, /^403 client_id is not yours/],
    ["with two client_ids", { query: "client_id=kim&client_id=kim" }, /^400 .* more than once/],
    ["with a client_id that is none", { query: "client_id=" }, /^400 client_id is empty/],
    ["with two headers", { headers: { "x-client-id": "kim, lee" } }, /^400 .* more than once/],
    ["in UTF-8", { headers: { "x-client-id": Buffer.from("Зоя").toString("latin1") } }, /^Зоя$/],
    ["in another encoding", { headers: { "x-client-id": "\xe9ve" } }, /^400 X-Client-Id is not UTF-8/],
    ["with a control character", { headers: { "x-client-id": "k\tim" } }, /^400 X-Client-Id: .* control/],
    [
      "with a turn of the text",
      { headers: { "x-client-id": Buffer.from("k\u202eim").toString("latin1") } },
      /^400 X-Client-Id: .* direction/,
    ],
    ["over the limit", { headers: { "x-client-id": "k".repeat(257) } }, /^400 X-Client-Id: .* longer/],
  ] as [string, Asked, RegExp][]
) {
  Deno.test({
    name: `Access.admit: by a proxy's header, ${what}`,
    permissions,
    fn: async () => {
      assert.match(
        told(await admit({ identification: header }, { headers: { "x-client-id": "kim" }, ...asked })),
        answer,
      );
    },
  });
}

Deno.test({
  name: "AddressSet: takes addresses and networks only",
  permissions,
  fn: () => {
    for (
      const text of [
        "",
        "localhost",
        "10.0.0.0/33",
        "10.0.0/8",
        "::/129",
        "10.0.0.1/",
        "10.0.0.1/-1",
        "*",
        "1/8",
      ]
    ) {
      assert.throws(() => new AddressSet([text]), RangeError, text);
    }
    const all = new AddressSet(["0.0.0.0/0", "::/0"]);
    assert.ok(all.has("1.2.3.4") && all.has("2001:db8::1"));
    assert.equal(new AddressSet([]).has("127.0.0.1"), false);
  },
});

Deno.test({
  name: "AddressSet: an address is in every network that begins with its first bits, and in no other",
  permissions,
  fn: () => {
    const toNumber = (text: string) => text.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
    fc.assert(fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (network, address, bits) => {
      const size = 2 ** (32 - bits);
      const inside = Math.floor(toNumber(network) / size) === Math.floor(toNumber(address) / size);
      const set = new AddressSet([`${network}/${bits}`]);
      assert.equal(set.has(address), inside);
      assert.equal(set.has(`::ffff:${address}`), inside);
    }));
  },
});

const OFFERED = "sec-websocket-protocol";

for (
  const [what, headers, query, found] of [
    ["nowhere", {}, "", undefined],
    ["in Authorization", { authorization: "Bearer a.b.c" }, "", "a.b.c"],
    ["in Authorization, in other letters", { authorization: "bEARER   a.b.c " }, "", "a.b.c"],
    ["in Authorization, empty", { authorization: "Bearer" }, "", ""],
    ["in a subprotocol", { [OFFERED]: "solo, solo.token.a.b.c" }, "", "a.b.c"],
    ["in a subprotocol that comes first", { [OFFERED]: "solo.token.a.b.c,solo" }, "", "a.b.c"],
    ["in the query", {}, "x=1&token=a.b.c", "a.b.c"],
    ["in the query, empty", {}, "token=", ""],
    [
      "nowhere: a browser's password for the page is none",
      { authorization: "Basic a2ltOmtpbQ==" },
      "",
      undefined,
    ],
    ["nowhere: another scheme", { authorization: "Bearerx a" }, "", undefined],
    ["nowhere: another subprotocol", { [OFFERED]: "solo, chat, token.a.b.c" }, "", undefined],
    ["in a subprotocol without solo", { [OFFERED]: "solo.token.a.b.c" }, "", 400],
    ["twice in subprotocols", { [OFFERED]: "solo, solo.token.a, solo.token.a" }, "", 400],
    ["twice in the query", {}, "token=a&token=a", 400],
    ["in two headers", { authorization: "Bearer a, Bearer b" }, "", 400],
    ["in a header and the query", { authorization: "Bearer a" }, "token=a", 400],
    [
      "in a header and a subprotocol",
      { authorization: "Bearer a", [OFFERED]: "solo, solo.token.a" },
      "",
      400,
    ],
  ] as [string, Record<string, string>, string, string | number | undefined][]
) {
  Deno.test({
    name: `findToken: ${what}`,
    permissions,
    fn: () => {
      const token = findToken(new Headers(headers), new URLSearchParams(query));
      assert.equal(typeof token === "object" ? token.status : token, found);
    },
  });
}

Deno.test({
  name: "findToken: a token comes back as it was sent, from wherever",
  permissions,
  fn: () => {
    const part = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_".split("")), minLength: 1 });
    fc.assert(fc.property(fc.tuple(part, part, part), (parts) => {
      const token = parts.join(".");
      const none = new URLSearchParams();
      assert.equal(findToken(new Headers({ authorization: `Bearer ${token}` }), none), token);
      assert.equal(findToken(new Headers({ [OFFERED]: `solo, solo.token.${token}` }), none), token);
      assert.equal(findToken(new Headers(), new URLSearchParams({ token })), token);
    }));
  },
});

Deno.test({
  name: "protocolFor: solo where it is offered, never the token",
  permissions,
  fn: () => {
    for (
      const [offered, answer] of [
        ["solo", "solo"],
        ["chat , solo", "solo"],
        ["solo.token.a.b.c, solo", "solo"],
        ["solo.token.a.b.c", undefined],
        ["solo2", undefined],
      ] as const
    ) assert.equal(protocolFor(new Headers({ [OFFERED]: offered })), answer, offered);
    assert.equal(protocolFor(new Headers()), undefined);
  },
});

const TOKEN = "correct horse battery staple ключ";
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;

for (
  const [authorization, status] of [
    [undefined, 401],
    ["", 401],
    [basic(`kim:${TOKEN}`), 200],
    [basic(`:${TOKEN}`), 200],
    [basic(`kim:${TOKEN} `), 401],
    [basic(`kim:${TOKEN.slice(0, -1)}`), 401],
    [basic(`kim:x:${TOKEN}`), 401],
    [basic(TOKEN), 401],
    [basic(`${TOKEN}:`), 401],
    ["Basic", 401],
    ["Basic %%%", 401],
    [`Basic ${"A".repeat(64 * 1024)}`, 401],
    ["Bearer", 401],
    ["Bearer wrong", 401],
    ["Digest correct", 401],
    [`${basic(`kim:${TOKEN}`)}, Bearer x`, 401],
  ] as const
) {
  Deno.test({
    name: `Access.admitOperator: "${authorization?.slice(0, 32)}" is ${status}`,
    permissions,
    fn: async () => {
      const access = await Access.open({ origins: [], operatorToken: { value: TOKEN } });
      assert.equal(access.operable, true);
      const headers = new Headers(authorization === undefined ? {} : { authorization });
      const refusal = access.admitOperator({ method: "GET", url: "/sessions", headers });
      assert.equal(refusal?.status ?? 200, status);
      if (refusal) assert.match(refusal.headers["www-authenticate"]!, /^Basic realm=.*, Bearer realm=/);
    },
  });
}

Deno.test({
  name:
    "Operators: every token is let in by its own text, as Bearer or as a password with a colon in it, and by no other",
  permissions,
  fn: () => {
    const word = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_:=/+".split("")), minLength: 1 });
    fc.assert(fc.property(word, word, (token, other) => {
      const status = (authorization: string) =>
        new Operators({ value: token }).refuse(new Headers({ authorization }))?.status;
      assert.equal(status(`Bearer ${token}`), undefined);
      assert.equal(status(`bearer  ${token} `), undefined);
      assert.equal(status(basic(`kim:${token}`)), undefined);
      assert.equal(status(`Bearer ${other}`), other === token ? undefined : 401);
      assert.equal(status(basic(`kim:${other}`)), other === token ? undefined : 401);
    }));
  },
});

Deno.test({
  name:
    "Expiries: each is due once, never before its time, and at the latest when a quarter of a second has passed",
  permissions,
  fn: () => {
    const moment = fc.oneof(fc.nat(10_000), fc.constantFrom(Infinity, 1e308, -1e308, 0.5, 249.9, 250, 250.1));
    const ends = fc.uniqueArray(fc.tuple(fc.uuid(), moment), { selector: ([name]) => name });
    fc.assert(fc.property(ends, fc.array(fc.nat(12_000)), fc.nat(5), (ends, asked, gone) => {
      const expiries = new Expiries<string>();
      const left = new Map(ends);
      for (const [name, endsAtMs] of ends) expiries.add(name, endsAtMs);
      for (const [name, endsAtMs] of ends.slice(0, gone)) {
        expiries.delete(name, endsAtMs);
        expiries.delete(name, endsAtMs);
        left.delete(name);
      }
      for (const nowMs of asked) {
        for (const name of expiries.due(nowMs)) {
          assert.ok(left.has(name), "due twice, or deleted");
          assert.ok(left.get(name)! <= nowMs, "too early");
          left.delete(name);
        }
        for (const endsAtMs of left.values()) assert.ok(endsAtMs > nowMs - 250, "too late");
      }
    }));
  },
});

Deno.test({
  name:
    "SeenTokens: what was found with other keys does not count, and the ones not asked for longest are forgotten",
  permissions,
  fn: () => {
    const seen = new SeenTokens<string>(2);
    const [keys, otherKeys] = [{}, {}];
    seen.add("a", keys, "kim");
    seen.add("b", keys, "lee");
    assert.equal(seen.get("a", keys), "kim");
    seen.add("c", keys, "mia");
    assert.deepEqual(["a", "b", "c"].map((token) => seen.get(token, keys)), ["kim", undefined, "mia"]);
    assert.equal(seen.get("a", otherKeys), undefined);
    assert.equal(seen.get("a", keys), undefined, "what is of no use is not kept");
  },
});

Deno.test({
  name: "withResponseHeaders: on every answer, beside what it has",
  permissions,
  fn: () => {
    const response = withResponseHeaders(
      new Response("x", { status: 404, headers: { "cache-control": "no-store" } }),
    );
    assert.equal(response.status, 404);
    assert.deepEqual(Object.fromEntries(response.headers), {
      ...RESPONSE_HEADERS,
      "cache-control": "no-store",
      "content-type": "text/plain;charset=UTF-8",
    });
  },
});
