/** What the flags and variables of access mean, and what the program says of them. */

import assert from "node:assert/strict";
import { CommanderError } from "commander";
import { ProgramError } from "../../lib/service/errors.ts";
import { createProgram } from "../../lib/service/flags.ts";
import { Access, type AccessOptions } from "../../lib/sessions/http/access/access.ts";
import { type AccessFlags, accessOf, addAccessFlags } from "../../lib/sessions/http/access/access_flags.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { inSeconds, signWithSecret, temporaryFile } from "../support/tokens.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

function flagsOf(args: string[]): AccessFlags {
  const program = addAccessFlags(createProgram("ws-server", ""));
  program.configureOutput({ outputError: () => {} }).action(() => {});
  program.parse(args, { from: "user" });
  return program.opts<AccessFlags>();
}

function options(
  args: string[],
  { host = "localhost", env = {} }: { host?: string; env?: Record<string, string> } = {},
): AccessOptions {
  return accessOf(flagsOf(args), host, (name) => env[name]);
}

Deno.test("accessOf: with no flags, pages of this host only, names of this machine only, and nobody is asked", () => {
  for (const host of ["localhost", "127.0.0.1", "::1"]) {
    assert.deepEqual(options([], { host }), {
      origins: [],
      hosts: [],
      identification: undefined,
      operatorToken: undefined,
    });
  }
});

Deno.test("accessOf: any name where others can reach the server, unless names are given", () => {
  assert.equal(options([], { host: "0.0.0.0" }).hosts, undefined);
  assert.deepEqual(options(["--allow-host", "App.Example."], { host: "0.0.0.0" }).hosts, ["app.example"]);
  assert.equal(options(["--allow-host", "a.example", "--allow-host", "*"]).hosts, undefined);
});

Deno.test("addAccessFlags: what may be repeated adds up, and a variable holds several", () => {
  const two = ["https://a.example", "http://b.example:3000"];
  assert.deepEqual(options(two.flatMap((one) => ["--allow-origin", one])).origins, two);
  Deno.env.set("SOLO_ALLOW_ORIGIN", two.join(" "));
  try {
    assert.deepEqual(options([]).origins, two);
    assert.deepEqual(options(["--allow-origin", "*"]).origins, ["*"], "a flag wins over its variable");
  } finally {
    Deno.env.delete("SOLO_ALLOW_ORIGIN");
  }
});

for (
  const [args, why] of [
    [["--allow-origin", "app.example"], /Give an origin, such as https:/],
    [["--allow-origin", "https://app.example/"], /Give an origin/],
    [["--allow-origin", "null"], /Give an origin/],
    [["--allow-host", "app.example:8880"], /Give a name without a port/],
    [["--allow-host", "*.app.example"], /Give a name without a port/],
    [["--auth-jwks", "ftp://app.example/keys"], /Give an https: URL/],
    [["--auth-jwks", "https://kim:secret@app.example/"], /without a password/],
    [["--auth-header", "X Client"], /Give the name of a header/],
    [["--trust-proxy", "proxy.example"], /as an address or a network such as/],
    [["--trust-proxy", "10.0.0.0/33"], /as an address or a network/],
    [["--operator", "8890"], /Give an address and a port/],
    [["--operator", "::1:8890"], /Give an address and a port/],
    [["--operator", "localhost:99999"], /from 0 to 65535/],
    [["--allow-origin", ""], /Give at least one/],
    [["--allow-host", ""], /Give at least one/],
    [["--trust-proxy", " "], /Give at least one/],
    [["--auth-jwks", ""], /Give an https: URL/],
    [["--auth-secret-file", ""], /Give a text, or leave it out/],
    [["--auth-claim", ""], /Give a text/],
    [["--auth-audience", ""], /Give a text/],
    [["--auth-issuer", ""], /Give a text/],
    [["--operator-token-file", ""], /Give a text/],
  ] as [string[], RegExp][]
) {
  Deno.test(`addAccessFlags: ${args.join(" ")} is refused, and says what to give`, () => {
    assert.throws(() => flagsOf(args), (error) => {
      assert.ok(error instanceof CommanderError);
      assert.match(error.message, why);
      return true;
    });
  });
}

Deno.test("addAccessFlags: an address for operators, in IPv6, too", () => {
  assert.deepEqual(flagsOf(["--operator", "127.0.0.1:8890"]).operator, { hostname: "127.0.0.1", port: 8890 });
  assert.deepEqual(flagsOf(["--operator", "[::1]:0"]).operator, { hostname: "::1", port: 0 });
  assert.deepEqual(flagsOf(["--operator", "ops.example:80"]).operator, { hostname: "ops.example", port: 80 });
});

Deno.test("accessOf: what contradicts itself is refused, and says what to keep", async () => {
  await using file = await temporaryFile(SECRET);
  const env = { SOLO_AUTH_SECRET: SECRET, SOLO_OPERATOR_TOKEN: SECRET };
  const header = ["--auth-header", "X-Client-Id"];
  const proxy = ["--trust-proxy", "127.0.0.1"];
  for (
    const [args, environment, why] of [
      [["--auth-jwks", "keys.json", "--auth-secret-file", file.path], {}, /exclude each other/],
      [["--auth-jwks", "keys.json"], { SOLO_AUTH_SECRET: SECRET }, /exclude each other/],
      [["--auth-secret-file", file.path], env, /--auth-secret-file and SOLO_AUTH_SECRET both hold/],
      [
        ["--operator-token-file", file.path],
        { SOLO_OPERATOR_TOKEN: SECRET },
        /both hold the operators' token/,
      ],
      [[...header, ...proxy, "--auth-jwks", "keys.json"], {}, /exclude each other/],
      [[...header, ...proxy], { SOLO_AUTH_SECRET: SECRET }, /exclude each other/],
      [header, {}, /belong together/],
      [proxy, {}, /belong together/],
      [["--auth-audience", "solo"], {}, /need --auth-jwks or --auth-secret-file/],
    ] as [string[], Record<string, string>, RegExp][]
  ) {
    assert.throws(() => options(args, { env: environment }), (error) => {
      assert.ok(error instanceof ProgramError, String(error));
      assert.equal(error.exitCode, 2);
      assert.match(error.message, why);
      return true;
    });
  }
});

Deno.test("accessOf: a secret that is empty or short is refused: it does not turn the question off", () => {
  for (const value of ["", "short"]) {
    assert.throws(() => options([], { env: { SOLO_AUTH_SECRET: value } }), ProgramError);
    assert.throws(() => options([], { env: { SOLO_OPERATOR_TOKEN: value } }), ProgramError);
  }
});

Deno.test("accessOf: the flags make the access that they describe", async () => {
  await using secretFile = await temporaryFile(`${SECRET}\n`);
  await using tokenFile = await temporaryFile("operators-token-0\n");
  const access = await Access.open(options([
    ...["--auth-secret-file", secretFile.path, "--auth-claim", "device", "--auth-audience", "solo"],
    ...["--auth-issuer", "id", "--operator-token-file", tokenFile.path, "--allow-host", "app.example"],
  ]));
  const claims = { device: "kim", aud: "solo", iss: "id", exp: inSeconds(60) };
  const admit = async (token: string) =>
    await access.admit({
      method: "GET",
      url: "/",
      headers: new Headers({ authorization: `Bearer ${token}` }),
    }, {
      remoteAddress: "::1",
    });
  const admitted = await admit(await signWithSecret(SECRET, claims));
  assert.ok(admitted.kind === "admitted" && admitted.clientId === "kim");
  for (const wrong of [{ aud: "x" }, { iss: "x" }, { device: 1 }]) {
    assert.equal((await admit(await signWithSecret(SECRET, { ...claims, ...wrong }))).kind, "refused");
  }
  const operator = (token: string) =>
    access.admitOperator({
      method: "GET",
      url: "/sessions",
      headers: new Headers({ authorization: `Bearer ${token}` }),
    })
      ?.status;
  assert.equal(operator("operators-token-0"), undefined);
  assert.equal(operator("operators-token-1"), 401);
  assert.equal(
    access.check({ method: "GET", url: "/", headers: new Headers({ host: "app.example" }) }),
    undefined,
  );
  assert.equal(
    access.check({ method: "GET", url: "/", headers: new Headers({ host: "evil.example" }) })?.status,
    421,
  );
});

Deno.test("Access.open: says what is left open, once, and nothing where nothing is", async () => {
  await using log = await CapturedLog.start();
  await Access.open(options([]));
  assert.deepEqual(log.lines, []);
  await Access.open(options([], { host: "0.0.0.0" }));
  assert.equal(log.lines.length, 1);
  assert.match(log.lines[0]!, /^warning every host name is served.*--allow-host/);
});

Deno.test("SecretFile: a file that everybody can read is warned of", async () => {
  await using file = await temporaryFile(SECRET);
  await using log = await CapturedLog.start();
  options(["--auth-secret-file", file.path]);
  assert.deepEqual(log.lines, []);
  await Deno.chmod(file.path, 0o644);
  options(["--auth-secret-file", file.path]);
  assert.equal(log.lines.length, 1);
  assert.match(log.lines[0]!, /^warning every user of this machine can read .*file.* the secret for tokens/);
});

Deno.test("Access: no secret and no token is ever logged, whatever comes", async () => {
  await using file = await temporaryFile(SECRET);
  await using log = await CapturedLog.start();
  const access = await Access.open(options(["--auth-secret-file", file.path], { host: "0.0.0.0" }));
  const other = "x".repeat(32);
  const claims = { sub: "kim", exp: inSeconds(60) };
  const tokens = [
    await signWithSecret(SECRET, claims),
    await signWithSecret(other, claims),
    await signWithSecret(SECRET, { ...claims, exp: 1 }),
    await signWithSecret(SECRET, { ...claims, aud: "x" }),
    await signWithSecret(SECRET, { sub: "bad\nid" }),
    "not-a-token.not-a-token.not-a-token",
    "y".repeat(64 * 1024),
  ];
  for (const token of tokens) {
    await access.admit({ method: "GET", url: `/?token=${token}`, headers: new Headers() }, {
      remoteAddress: "::1",
    });
    await access.admit({
      method: "GET",
      url: "/",
      headers: new Headers({ authorization: `Bearer ${token}` }),
    }, {
      remoteAddress: "::1",
    });
  }
  const text = log.lines.join("\n");
  assert.match(text, /debug a token is refused/);
  for (const secret of [SECRET, other, ...tokens]) {
    assert.ok(!text.includes(secret), secret.slice(0, 20));
    const signature = secret.split(".")[2];
    if (signature) assert.ok(!text.includes(signature));
  }
});
