/** Which tokens let a client in, by status: real keys, real signatures. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { exportSPKI, importJWK, type JWTPayload } from "jose";
import { Access, type Admission, type Refusal } from "../../lib/sessions/http/access/access.ts";
import type { TokenRules } from "../../lib/sessions/http/access/token_verifier.ts";
import { inSeconds, keySetOf, signer, signWithSecret, temporaryFile } from "../support/tokens.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const GOOD: JWTPayload = { sub: "kim", exp: inSeconds(3600) };
const RULES: TokenRules = { claim: "sub" };

const rsa = await signer("RS256", "rsa");
const ec = await signer("ES256", "ec");
const ed = await signer("EdDSA", "ed");
const [p384, pss] = [await signer("ES384", "p384"), await signer("PS256", "pss")];
const strangers = { rsa: await signer("RS256", "rsa"), ec: await signer("ES256", "ec") };

async function withKeys(
  rules: Partial<TokenRules> = {},
  keys = keySetOf(rsa, ec, ed, p384, pss),
): Promise<Access> {
  await using file = await temporaryFile(JSON.stringify(keys));
  return await Access.open({
    origins: [],
    identification: { kind: "jwks", source: file.path, rules: { ...RULES, ...rules } },
  });
}

async function withSecret(rules: Partial<TokenRules> = {}): Promise<Access> {
  return await Access.open({
    origins: [],
    identification: { kind: "secret", secret: { value: SECRET }, rules: { ...RULES, ...rules } },
  });
}

async function admit(access: Access, token: string | undefined, query = ""): Promise<Admission | Refusal> {
  const headers = new Headers(token === undefined ? {} : { authorization: `Bearer ${token}` });
  return await access.admit({ method: "GET", url: `/?${query}`, headers }, { remoteAddress: "127.0.0.1" });
}

/** The client_id of an admission, else the status. */
async function told(access: Access, token: string | undefined, query = ""): Promise<string | number> {
  const decision = await admit(access, token, query);
  if (decision.kind === "refused" && decision.status === 401) {
    assert.deepEqual(
      [decision.line, decision.headers],
      ["a valid token is needed", { "www-authenticate": 'Bearer realm="Solo"' }],
      "401 does not say what is wrong",
    );
  }
  return decision.kind === "admitted" ? decision.clientId : decision.status;
}

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url" })
    .replaceAll("=", "");

/** A token with a header of our making and no signature, or one that was made with a secret. */
function forged(header: Record<string, unknown>, claims: JWTPayload, key?: string): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${key === undefined ? "" : createHmac("sha256", key).update(text).digest("base64url")}`;
}

const pem = await exportSPKI(await importJWK(rsa.publicJwk, "RS256") as CryptoKey);

const PUBLIC_KEYS: [string, () => string | undefined | Promise<string>, string | number][] = [
  ["RS256", () => rsa.sign(GOOD), "kim"],
  ["ES256", () => ec.sign(GOOD), "kim"],
  ["EdDSA", () => ed.sign(GOOD), "kim"],
  ["without an end", () => ec.sign({ sub: "kim" }), "kim"],
  [
    "with claims that are nobody's business",
    () => ec.sign({ ...GOOD, iss: "x", jti: "y", role: ["a"] }),
    "kim",
  ],
  ["none", () => undefined, 401],
  ["empty", () => "", 401],
  ["no token", () => "kim", 401],
  ["dots", () => "..", 401],
  ["of JSON that is none", () => `${encode("x")}.${encode("y")}.`, 401],
  ["expired", () => ec.sign({ ...GOOD, exp: inSeconds(-1) }), 401],
  ["expired just now", () => ec.sign({ ...GOOD, exp: inSeconds(0) }), 401],
  [
    "with an end that is a text",
    () => ec.sign({ sub: "kim", exp: String(inSeconds(60)) as unknown as number }),
    401,
  ],
  ["not yet valid", () => ec.sign({ ...GOOD, nbf: inSeconds(60) }), 401],
  ["valid in a moment: the issuer's clock is ahead", () => ec.sign({ ...GOOD, nbf: inSeconds(3) }), "kim"],
  ["of another key of the same name", () => strangers.ec.sign(GOOD), 401],
  ["of another RSA key of the same name", () => strangers.rsa.sign(GOOD), 401],
  ["of a key with an unknown name", () => ec.sign(GOOD, { kid: "other" }), 401],
  ["of a key with the name of another", () => ec.sign(GOOD, { kid: "rsa" }), 401],
  ["with a name of a key that is none", () => ec.sign(GOOD, { kid: 1 }), 401],
  ["ES384, which we do not take", () => p384.sign(GOOD), 401],
  ["PS256, which we do not take", () => pss.sign(GOOD), 401],
  ["alg: none", () => forged({ alg: "none", typ: "JWT" }, GOOD), 401],
  ["alg: None", () => forged({ alg: "None", kid: "rsa" }, GOOD), 401],
  ["without alg", () => forged({ typ: "JWT" }, GOOD), 401],
  ["HS256 with the public key as PEM", () => forged({ alg: "HS256", kid: "rsa" }, GOOD, pem), 401],
  ["HS256 with the PEM less its line end", () => forged({ alg: "HS256", kid: "rsa" }, GOOD, pem.trim()), 401],
  [
    "HS256 with the public key as JWK",
    () => forged({ alg: "HS256" }, GOOD, JSON.stringify(rsa.publicJwk)),
    401,
  ],
  ["HS256 with the modulus", () => forged({ alg: "HS256", kid: "rsa" }, GOOD, rsa.publicJwk.n), 401],
  ["HS256 with nothing", () => forged({ alg: "HS256", kid: "rsa" }, GOOD, ""), 401],
  ["HS256 with the secret of another service", () => signWithSecret(SECRET, GOOD), 401],
  ["for an audience", () => ec.sign({ ...GOOD, aud: "other" }), 401],
  ["with its key in it", () => strangers.ec.sign(GOOD, { kid: undefined, jwk: strangers.ec.publicJwk }), 401],
  ["that says where its key is", () => strangers.ec.sign(GOOD, { jku: "http://127.0.0.1:1/" }), 401],
  ["64 KiB long", () => ec.sign({ ...GOOD, more: "x".repeat(64 * 1024) }), 401],
  ["64 KiB of letters", () => "a".repeat(64 * 1024), 401],
  ["64 KiB of dots", () => ".".repeat(64 * 1024), 401],
  ["without the claim", () => ec.sign({ exp: GOOD.exp }), 401],
  ["with a number for the claim", () => ec.sign({ ...GOOD, sub: 7 as unknown as string }), 401],
  ["with a list for the claim", () => ec.sign({ ...GOOD, sub: ["kim"] as unknown as string }), 401],
  ["with an object for the claim", () => ec.sign({ ...GOOD, sub: { a: 1 } as unknown as string }), 401],
  ["with nothing for the claim", () => ec.sign({ ...GOOD, sub: null as unknown as string }), 401],
  ["with an empty claim", () => ec.sign({ ...GOOD, sub: "" }), 401],
  ["with a line end in the claim", () => ec.sign({ ...GOOD, sub: "kim\nlee" }), 401],
  ["with a NUL in the claim", () => ec.sign({ ...GOOD, sub: "kim\0" }), 401],
  ["with a turn of the text in the claim", () => ec.sign({ ...GOOD, sub: "kim\u202e" }), 401],
  ["with half a character in the claim", () => ec.sign({ ...GOOD, sub: "kim\ud800" }), 401],
  ["with too long a claim", () => ec.sign({ ...GOOD, sub: "k".repeat(257) }), 401],
];

for (const [what, token, answer] of PUBLIC_KEYS) {
  Deno.test(`Access.admit: by a key set, a token ${what} is ${answer}`, async () => {
    assert.equal(await told(await withKeys(), await token()), answer);
  });
}

const BY_SECRET: [string, () => string | Promise<string>, string | number][] = [
  ["HS256", () => signWithSecret(SECRET, GOOD), "kim"],
  ["HS512", () => signWithSecret(SECRET + SECRET, GOOD, "HS512"), 401],
  ["HS384 with the secret", () => signWithSecret(SECRET.padEnd(48, "0"), GOOD, "HS384"), 401],
  ["of another secret", () => signWithSecret(SECRET.replace("0", "1"), GOOD), 401],
  ["of the secret and a line end", () => signWithSecret(`${SECRET}\n`, GOOD), 401],
  ["RS256", () => rsa.sign(GOOD), 401],
  ["alg: none", () => forged({ alg: "none" }, GOOD), 401],
  ["expired", () => signWithSecret(SECRET, { ...GOOD, exp: inSeconds(-1) }), 401],
];

for (const [what, token, answer] of BY_SECRET) {
  Deno.test(`Access.admit: by a secret, a token ${what} is ${answer}`, async () => {
    assert.equal(await told(await withSecret(), await token()), answer);
  });
}

const BY_RULES: [string, Partial<TokenRules>, JWTPayload, string | number][] = [
  ["the right audience", { audience: "solo" }, { ...GOOD, aud: "solo" }, "kim"],
  ["the right audience among others", { audience: "solo" }, { ...GOOD, aud: ["x", "solo"] }, "kim"],
  ["a wrong audience", { audience: "solo" }, { ...GOOD, aud: "sol" }, 401],
  ["wrong audiences", { audience: "solo" }, { ...GOOD, aud: ["solo2", "x"] }, 401],
  ["no audience", { audience: "solo" }, GOOD, 401],
  ["an audience that is none", { audience: "solo" }, { ...GOOD, aud: { solo: 1 } as unknown as string }, 401],
  ["the right issuer", { issuer: "https://id.example" }, { ...GOOD, iss: "https://id.example" }, "kim"],
  ["a wrong issuer", { issuer: "https://id.example" }, { ...GOOD, iss: "https://id.example/" }, 401],
  ["no issuer", { issuer: "https://id.example" }, GOOD, 401],
  ["another claim", { claim: "https://app.example/device" }, { "https://app.example/device": "lee" }, "lee"],
  ["another claim, which is missing", { claim: "device" }, GOOD, 401],
  ["a claim that every object has", { claim: "constructor" }, GOOD, 401],
  ["a claim that every object has, too", { claim: "__proto__" }, GOOD, 401],
];

for (const [what, rules, claims, answer] of BY_RULES) {
  Deno.test(`Access.admit: a token with ${what} is ${answer} under ${JSON.stringify(rules)}`, async () => {
    assert.equal(await told(await withKeys(rules), await ec.sign(claims)), answer);
  });
}

for (
  const [query, answer] of [
    ["", "kim"],
    ["client_id=kim", "kim"],
    ["client_id=victim", 403],
    ["client_id=Kim", 403],
    ["client_id=kim%20", 403],
    ["client_id=", 400],
    ["client_id=kim&client_id=victim", 400],
    ["client_id=%0A", 400],
  ] as const
) {
  Deno.test(`Access.admit: a token for kim is ${answer} with ?${query}`, async () => {
    assert.equal(await told(await withKeys(), await ec.sign(GOOD), query), answer);
  });
}

Deno.test("Access.admit: who has no good token is not told whether client_id would fit", async () => {
  assert.equal(await told(await withKeys(), "x.y.z", "client_id=victim"), 401);
});

Deno.test("Access.admit: a session ends with its token, to the millisecond", async () => {
  const access = await withKeys();
  const exp = inSeconds(60) + 0.25;
  const decision = await admit(access, await ec.sign({ sub: "kim", exp }));
  assert.ok(decision.kind === "admitted");
  assert.equal(decision.endsAtMs, exp * 1000);
  const endless = await admit(access, await ec.sign({ sub: "kim" }));
  assert.ok(endless.kind === "admitted" && endless.endsAtMs === undefined);
});

Deno.test("Access.admit: a browser's token comes in a subprotocol, and solo is the answer", async () => {
  const headers = new Headers({ "sec-websocket-protocol": `solo, solo.token.${await ec.sign(GOOD)}` });
  const decision = await (await withKeys()).admit({ method: "GET", url: "/", headers }, {
    remoteAddress: "127.0.0.1",
  });
  assert.deepEqual({ ...decision, endsAtMs: 0 }, {
    kind: "admitted",
    clientId: "kim",
    endsAtMs: 0,
    protocol: "solo",
  });
});

Deno.test("Access.admit: a key is used for what it is for", async () => {
  const keys = (more: Record<string, unknown>) => ({ keys: [{ ...ec.publicJwk, ...more }] });
  for (
    const [more, answer] of [
      [{ use: "sig", alg: "ES256", key_ops: ["verify"] }, "kim"],
      [{ use: "enc" }, 401],
      [{ key_ops: ["encrypt"] }, 401],
      [{ alg: "ES384" }, 401],
      [{ alg: "ECDH-ES" }, 401],
      [{ kty: "RSA" }, 401],
      [{ x: "AAAA" }, 401], // no point of the curve
    ] as const
  ) {
    assert.equal(
      await told(await withKeys({}, keys(more)), await ec.sign(GOOD)),
      answer,
      JSON.stringify(more),
    );
  }
});

Deno.test("Access.admit: an RSA key that could be broken is not believed", async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(
    {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    },
    true,
    ["sign", "verify"],
  );
  const text = `${encode({ alg: "RS256" })}.${encode(GOOD)}`;
  const signature = new Uint8Array(
    await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, new TextEncoder().encode(text)),
  ).toBase64({ alphabet: "base64url" }).replaceAll("=", "");
  const access = await withKeys({}, {
    keys: [await crypto.subtle.exportKey("jwk", publicKey) as { kty: string }],
  });
  assert.equal(await told(access, `${text}.${signature}`), 401);
});

Deno.test("Access.admit: where no name says which key it is, each is tried", async () => {
  const signers = await Promise.all([1, 2, 3].map(() => signer("ES256")));
  const access = await withKeys({}, keySetOf(rsa, ...signers));
  for (const one of signers) assert.equal(await told(access, await one.sign(GOOD)), "kim");
  assert.equal(await told(access, await (await signer("ES256")).sign(GOOD)), 401);
});

Deno.test("Access.admit: a token that differs anywhere from one that was signed is 401", async () => {
  const access = await withKeys();
  const token = await ec.sign(GOOD);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(token.length - 1),
      fc.constantFrom(..."AQgw-_.=x ".split("")),
      async (at, letter) => {
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        // the last letter of base64 has bits that mean nothing: another one may stand for the same bytes
        if (changed === token || sameBytes(changed, token)) return;
        assert.equal(await told(access, changed), 401, changed);
      },
    ),
  );
});

function sameBytes(one: string, other: string): boolean {
  const bytes = (token: string) =>
    token.split(".").map((part) => Uint8Array.fromBase64(part, { alphabet: "base64url" }));
  try {
    return JSON.stringify(bytes(one)) === JSON.stringify(bytes(other));
  } catch {
    return false;
  }
}

Deno.test("Access.admit: no text whatever is an error, nor lets anybody in", async () => {
  const access = await withKeys();
  const part = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."abAB01-_=. ".split("")), maxLength: 30 }),
    fc.json({ maxDepth: 1 }).map((text) => encode(JSON.parse(text))),
    fc.constantFrom({ alg: "ES256" }, { alg: "none" }, { alg: "HS256", kid: "rsa" }, { alg: 7 }, GOOD).map(
      encode,
    ),
  );
  await fc.assert(fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
    assert.equal(await told(access, parts.join(".")), 401);
  }));
});
