/** Keys and secrets that change while the service runs: at real servers, in real files. Only the clock is ours. */

import assert from "node:assert/strict";
import { ProgramError } from "../../lib/service/errors.ts";
import { Access } from "../../lib/sessions/http/access/access.ts";
import { KeySet } from "../../lib/sessions/http/access/key_set.ts";
import { SecretFile, secretOf } from "../../lib/sessions/http/access/secret_file.ts";
import { TokenVerifier } from "../../lib/sessions/http/access/token_verifier.ts";
import { inSeconds, KeyServer, keySetOf, signer, signWithSecret, temporaryFile } from "../support/tokens.ts";
import { until } from "../support/wait.ts";

const RULES = { claim: "sub" };
const CLAIMS = { sub: "kim", exp: inSeconds(3600) };
const [first, second, third] = await Promise.all(["one", "two", "three"].map((kid) => signer("ES256", kid)));
const tokens = {
  first: await first!.sign(CLAIMS),
  second: await second!.sign(CLAIMS),
  third: await third!.sign(CLAIMS),
};

class HandClock {
  ms = 0;
  readonly nowMs = () => this.ms;
}

async function verifierAt(source: string, clock = new HandClock()): Promise<TokenVerifier> {
  return new TokenVerifier(await KeySet.open(source, clock.nowMs), RULES);
}

async function believes(verifier: TokenVerifier, token: string): Promise<boolean> {
  return (await verifier.verify(token)) !== undefined;
}

Deno.test("KeySet: a new key counts as soon as a token names it, and the old one as long as it is shown", async () => {
  await using server = new KeyServer(() => Response.json(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  assert.ok(await believes(verifier, tokens.first));
  server.show(keySetOf(first!, second!));
  clock.ms += 10_000;
  assert.ok(await believes(verifier, tokens.second));
  assert.ok(await believes(verifier, tokens.first));
  assert.equal(server.asked, 2);
  server.show(keySetOf(second!));
  clock.ms += 10_000;
  assert.equal(await believes(verifier, tokens.third), false); // which makes it look
  assert.equal(await believes(verifier, tokens.first), false);
  assert.ok(await believes(verifier, tokens.second));
});

Deno.test("KeySet: keys are read at most once in 10 s, however many tokens of unknown keys come", async () => {
  await using server = new KeyServer(() => Response.json(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  const unknown = async () => {
    const believed = await Promise.all(Array.from({ length: 50 }, () => believes(verifier, tokens.second)));
    assert.ok(believed.every((one) => !one));
  };
  clock.ms = 9_999;
  await unknown();
  assert.equal(server.asked, 1, "too near to the first time");
  clock.ms = 10_000;
  await unknown();
  assert.equal(server.asked, 2, "one reading for all");
  clock.ms = 19_999;
  await unknown();
  assert.equal(server.asked, 2);
  server.show(keySetOf(first!, second!));
  clock.ms = 20_000;
  const believed = await Promise.all(Array.from({ length: 50 }, () => believes(verifier, tokens.second)));
  assert.ok(believed.every((one) => one), "whoever waited for the same reading has the key");
  assert.equal(server.asked, 3);
});

Deno.test("KeySet: tokens without a signature of a key, or of a kind we do not take, make it read nothing", async () => {
  await using server = new KeyServer(() => Response.json(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  clock.ms = 100_000;
  for (const token of ["", "a.b.c", await signWithSecret("s".repeat(32), CLAIMS), "x".repeat(64 * 1024)]) {
    assert.equal(await believes(verifier, token), false);
  }
  assert.equal(server.asked, 1);
});

Deno.test("KeySet: keys without names, and others under the same name, change without a restart, too", async () => {
  for (const kid of [undefined, "same"]) {
    const [before, after] = [await signer("EdDSA", kid), await signer("EdDSA", kid)];
    await using server = new KeyServer(() => Response.json(keySetOf(before)));
    const clock = new HandClock();
    const verifier = await verifierAt(server.url, clock);
    server.show(keySetOf(after));
    clock.ms += 10_000;
    assert.ok(await believes(verifier, await after.sign(CLAIMS)));
    assert.equal(await believes(verifier, await before.sign(CLAIMS)), false);
  }
});

Deno.test("KeySet: clients go on connecting while keys change, and no good token is refused", async () => {
  const signers = await Promise.all(Array.from({ length: 6 }, (_, i) => signer("ES256", `key${i}`)));
  await using server = new KeyServer(() => Response.json(keySetOf(signers[0]!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  for (let i = 1; i < signers.length; i++) {
    const [old, fresh] = [await signers[i - 1]!.sign(CLAIMS), await signers[i]!.sign(CLAIMS)];
    server.show(keySetOf(signers[i - 1]!, signers[i]!));
    clock.ms += 10_000;
    const mixed = Array.from({ length: 40 }, (_, n) => believes(verifier, n % 2 ? old : fresh));
    assert.ok((await Promise.all(mixed)).every((one) => one));
    server.show(keySetOf(signers[i]!));
  }
});

Deno.test("KeySet: while its source is away or broken, who has a known key comes in", async () => {
  await using server = new KeyServer(() => Response.json(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  const broken: (() => Response)[] = [
    () => new Response("no", { status: 503 }),
    () => new Response("<html>"),
    () => Response.json([]),
    () => Response.json({ keys: [1] }),
    () => Response.json({ keys: [{ kty: "oct", k: "c2VjcmV0" }] }),
    () => new Response("x".repeat(300 * 1024)),
    () => Response.redirect(`${server.url}?elsewhere`),
  ];
  for (const answer of broken) {
    server.answer = answer;
    clock.ms += 10_000;
    const { asked } = server;
    assert.equal(await believes(verifier, tokens.second), false);
    assert.equal(server.asked, asked + 1, "it has looked");
    assert.ok(await believes(verifier, tokens.first), String(answer));
  }
  server.show(keySetOf(first!, second!));
  clock.ms += 10_000;
  assert.ok(await believes(verifier, tokens.second), "and when it is back it is heard");
});

Deno.test("KeySet: a key that was withdrawn does not stay for ever, though only tokens of known keys come", async () => {
  await using server = new KeyServer(() => Response.json(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(server.url, clock);
  server.show(keySetOf(second!));
  clock.ms = 300_001;
  assert.ok(await believes(verifier, tokens.first), "nobody waits for it");
  await until(async () => !await believes(verifier, tokens.first), "the old key is forgotten");
  assert.equal(server.asked, 2);
  server.show({ keys: [] });
  clock.ms += 300_001;
  await until(async () => !await believes(verifier, tokens.second), "every key is forgotten");
});

Deno.test("KeySet: a file that was written anew counts from the next token of an unknown key on", async () => {
  await using file = await temporaryFile(JSON.stringify(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = await verifierAt(file.path, clock);
  assert.ok(await believes(verifier, tokens.first));
  await Deno.writeTextFile(file.path, JSON.stringify(keySetOf(second!)));
  clock.ms += 10_000;
  assert.ok(await believes(verifier, tokens.second));
  assert.equal(await believes(verifier, tokens.first), false);
  await Deno.writeTextFile(file.path, "{"); // half written
  clock.ms += 10_000;
  assert.equal(await believes(verifier, tokens.third), false);
  assert.ok(await believes(verifier, tokens.second));
});

Deno.test("Access.open: keys that cannot be read are an error at the start that says what is wrong", async () => {
  await using server = new KeyServer(() => new Response(null, { status: 500 }));
  await using empty = await temporaryFile('{"keys":[]}');
  await using secret = await temporaryFile('{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}');
  const { privateJwk } = await withPrivateKey();
  await using leaked = await temporaryFile(JSON.stringify({ keys: [privateJwk] }));
  const gone = new KeyServer(() => new Response());
  const goneUrl = `${gone.url}?key=hidden`;
  await gone[Symbol.asyncDispose]();
  for (
    const [source, why] of [
      [server.url, /\/keys\.json: the answer is 500$/],
      [empty.path, /the key set is empty$/],
      [secret.path, /private or secret keys: only public ones/],
      [leaked.path, /private or secret keys: only public ones/],
      ["/nowhere/keys.json", /there is no such file/],
      ["/", /it is not a file$/],
      [
        goneUrl,
        /^cannot read the keys of --auth-jwks from http:\/\/127\.0\.0\.1:\d+\/keys\.json: (?!.*hidden)/,
      ],
    ] as const
  ) {
    await assert.rejects(
      Access.open({ origins: [], hosts: [], identification: { kind: "jwks", source, rules: RULES } }),
      (error) => error instanceof ProgramError && why.test(error.message) || assert.fail(String(error)),
    );
  }
});

async function withPrivateKey() {
  const { privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  return { privateJwk: await crypto.subtle.exportKey("jwk", privateKey) };
}

const OPTIONS = { what: "the secret for tokens", minBytes: 32 };
const [OLD, NEW] = ["old-old-old-old-old-old-old-old-", "new-new-new-new-new-new-new-new-"];

Deno.test("SecretFile: one line end after the secret is not part of it, and nothing else is taken off", async () => {
  for (
    const [content, value] of [
      [OLD, OLD],
      [`${OLD}\n`, OLD],
      [`${OLD}\r\n`, OLD],
      [`${OLD}\n\n`, `${OLD}\n`],
      [` ${OLD} `, ` ${OLD} `],
      [`${OLD}ключ\n`, `${OLD}ключ`],
    ] as const
  ) {
    await using file = await temporaryFile(content);
    assert.equal(new SecretFile(file.path, OPTIONS).value, value);
  }
});

Deno.test("SecretFile: what is no secret is an error at the start that says what to do", async () => {
  for (
    const [content, why] of [
      ["", /cannot be read from .*: it is empty$/],
      ["\n", /: it is empty$/],
      ["short\n", /: it is shorter than 32 bytes .* openssl rand -base64 32 /],
      ["x".repeat(64 * 1024 + 1), /: it has more than 65536 bytes$/],
    ] as const
  ) {
    await using file = await temporaryFile(content);
    assert.throws(() => new SecretFile(file.path, OPTIONS), (error) => {
      assert.ok(error instanceof ProgramError);
      assert.match(error.message, why);
      return true;
    });
  }
  await using file = await temporaryFile("");
  await Deno.writeFile(file.path, new Uint8Array(40).fill(0xff));
  assert.throws(() => new SecretFile(file.path, OPTIONS), /: it is not UTF-8$/);
  assert.throws(() => new SecretFile("/nowhere/secret", OPTIONS), /: there is no such file$/);
  assert.throws(() => new SecretFile("/", OPTIONS), /: it is not a file$/);
  assert.throws(
    () => secretOf("", "SOLO_AUTH_SECRET", OPTIONS),
    /in SOLO_AUTH_SECRET is not usable: it is empty$/,
  );
  assert.equal(secretOf(OLD, "SOLO_AUTH_SECRET", OPTIONS).value, OLD);
});

Deno.test("SecretFile: a secret that has changed counts within a second; what is none does not replace it", async () => {
  await using file = await temporaryFile(OLD);
  const clock = new HandClock();
  const secret = new SecretFile(file.path, OPTIONS, clock.nowMs);
  await Deno.writeTextFile(file.path, `${NEW}\n`);
  clock.ms = 999;
  assert.equal(secret.value, OLD, "a file is not read for every request");
  clock.ms = 1_000;
  assert.equal(secret.value, NEW);
  for (const broken of ["", "short"]) {
    await Deno.writeTextFile(file.path, broken);
    clock.ms += 1_000;
    assert.equal(secret.value, NEW);
  }
  await Deno.remove(file.path);
  clock.ms += 1_000;
  assert.equal(secret.value, NEW);
  await Deno.writeTextFile(`${file.path}.new`, OLD);
  await Deno.rename(`${file.path}.new`, file.path);
  clock.ms += 1_000;
  assert.equal(secret.value, OLD);
});

Deno.test("TokenVerifier: with another secret in the file, tokens of the old one are not believed any more", async () => {
  await using file = await temporaryFile(OLD);
  const clock = new HandClock();
  const verifier = new TokenVerifier(new SecretFile(file.path, OPTIONS, clock.nowMs), RULES);
  const [old, fresh] = [await signWithSecret(OLD, CLAIMS), await signWithSecret(NEW, CLAIMS)];
  assert.deepEqual([await believes(verifier, old), await believes(verifier, fresh)], [true, false]);
  await Deno.writeTextFile(file.path, NEW);
  clock.ms = 1_000;
  assert.deepEqual([await believes(verifier, old), await believes(verifier, fresh)], [false, true]);
});

Deno.test("TokenVerifier: exp is kept strictly, nbf with 5 s for the issuer's clock", async () => {
  await using file = await temporaryFile(JSON.stringify(keySetOf(first!)));
  const clock = new HandClock();
  const verifier = new TokenVerifier(await KeySet.open(file.path), RULES, clock.nowMs);
  const token = await first!.sign({ sub: "kim", nbf: 1_000, exp: 2_000.5 });
  for (
    const [ms, good] of [
      [994_999, false],
      [995_000, true],
      [1_000_000, true],
      [2_000_499, true],
      [2_000_500, false],
      [2_003_000, false],
    ] as const
  ) {
    clock.ms = ms;
    assert.equal(await believes(verifier, token), good, `at ${ms} ms`);
  }
});
