/** By which names the service may be called, and which pages may use it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { Access, type AccessOptions } from "../../lib/sessions/http/access/access.ts";
import { HostCheck, hostNameOf, urlOfHost } from "../../lib/sessions/http/access/host.ts";
import { OriginCheck, originOf } from "../../lib/sessions/http/access/origin.ts";

const permissions = "none";

/** What a request with these headers is answered, 200 where it may go on. */
async function statusOf(
  options: Partial<AccessOptions>,
  headers: Record<string, string>,
  method = "GET",
): Promise<number> {
  const access = await Access.open({ origins: [], hosts: [], ...options });
  return access.check({ method, url: "/", headers: new Headers(headers) })?.status ?? 200;
}

const LONG = "a".repeat(60_000);

for (
  const [host, status] of [
    ["localhost", 200],
    ["localhost:8880", 200],
    ["LOCALHOST:8880", 200],
    ["localhost.", 200],
    ["127.0.0.1:8880", 200],
    ["192.168.1.7", 200],
    ["127.1", 200], // the browser has made the same of it
    ["2130706433", 200],
    ["0x7f000001:80", 200],
    ["[::1]", 200],
    ["[::1]:8880", 200],
    ["[FE80::1]:8880", 200],
    ["[::ffff:127.0.0.1]", 200],
    ["app.example", 200],
    ["App.Example:443", 200],
    ["app.example.:8880", 200],
    ["app.example:", 200],
    ["xn--bcher-kva.example", 200],
    ["evil.example", 421],
    ["evil.example:8880", 421],
    ["localhost.evil.example", 421],
    ["127.0.0.1.evil.example", 421],
    ["app.example.evil.example", 421],
    ["xapp.example", 421],
    ["sub.app.example", 421],
    ["app.example..", 421],
    ["foo.localhost", 421],
    ["null", 421],
    ["*", 400],
    [".", 421],
    ["999.1.1.1", 400],
    ["1.2.3.4.5", 400],
    ["[::1", 400],
    ["::1", 400],
    ["[fe80::1%25eth0]", 400],
    ["localhost:99999", 400],
    ["localhost:-1", 400],
    ["localhost:80:80", 400],
    ["kim@localhost", 400],
    ["localhost/x", 400],
    ["localhost#", 400],
    ["localhost?", 400],
    ["localhost\\x", 400],
    ["local%68ost", 400],
    ["local host", 400],
    ["local\thost", 400],
    ["localhost, evil.example", 400], // two Host headers
    ["bücher.example", 400], // bytes that are no ASCII
    ["", 200], // as without one: no browser
    [LONG, 400],
    [`[${":".repeat(60_000)}]`, 400],
  ] as const
) {
  Deno.test({
    name: `Access.check: Host "${
      host.slice(0, 40)
    }" is ${status} where app.example and bücher.example are listed`,
    permissions,
    fn: async () => {
      const hosts = ["app.example", "bücher.example"].map((name) => hostNameOf(name)!);
      assert.equal(await statusOf({ hosts }, { host }), status);
    },
  });
}

Deno.test({
  name: "Access.check: without a Host it is no browser, and without a list every name is served",
  permissions,
  fn: async () => {
    assert.equal(await statusOf({}, {}), 200);
    assert.equal(await statusOf({ hosts: undefined }, { host: "evil.example" }), 200);
  },
});

Deno.test({
  name:
    "HostCheck: a name that was good once does not open the door to others, and what is refused names the flag",
  permissions,
  fn: () => {
    const check = new HostCheck(["app.example"]);
    for (let i = 0; i < 3; i++) {
      assert.equal(check.refuse("app.example"), undefined);
      assert.equal(check.refuse("evil.example")?.status, 421);
      assert.equal(check.refuse("APP.example:1"), undefined);
    }
    assert.match(check.refuse("evil.example:80")!.line, /--allow-host evil\.example /);
  },
});

Deno.test({
  name: "HostCheck: whatever is sent, only addresses and listed names are served",
  permissions,
  fn: () => {
    const noisy = fc.string({ unit: fc.constantFrom(..."aA.:[]@/%#? 01xé,\\-_\t".split("")), maxLength: 24 });
    const named = fc.tuple(noisy, fc.constantFrom("localhost", "app.example", "127.0.0.1", "[::1]"), noisy)
      .map((parts) => parts.join(""));
    fc.assert(fc.property(fc.oneof(noisy, named, fc.webAuthority(), fc.domain(), fc.ipV6()), (host) => {
      if (new HostCheck(["app.example"]).refuse(host) !== undefined || host === "") return;
      const url = new URL(`http://${host}`);
      assert.equal(url.username + url.password + url.search + url.hash, "", host);
      assert.equal(url.pathname, "/");
      assert.match(url.hostname, /^(localhost\.?|app\.example\.?|\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\])$/);
    }));
  },
});

Deno.test({
  name: "HostCheck: every domain is served by its own name, in whatever case, and by no other",
  permissions,
  fn: () => {
    fc.assert(fc.property(fc.domain(), fc.domain(), fc.nat(65_535), (name, other, port) => {
      const check = new HostCheck([hostNameOf(name)!]);
      assert.equal(check.refuse(`${name.toUpperCase()}:${port}`), undefined);
      assert.equal(check.refuse(other)?.status, hostNameOf(name) === hostNameOf(other) ? undefined : 421);
    }));
  },
});

Deno.test({
  name: "hostNameOf: takes names only",
  permissions,
  fn: () => {
    for (
      const text of ["", "a b", "a:80", "a/b", "kim@a", "*.a", "a%41", "a,b", "[::1]", "a?", "a#", "a\\b"]
    ) {
      assert.equal(hostNameOf(text), undefined, text);
    }
    assert.equal(hostNameOf("my_host"), "my_host");
  },
});

for (
  const [origin, host, status] of [
    [null, "localhost:8880", 200],
    ["http://localhost:8880", "localhost:8880", 200],
    ["https://localhost:8880", "localhost:8880", 200],
    ["http://LOCALHOST:8880", "localhost:8880", 200],
    ["http://localhost:8880", "LocalHost:8880", 200],
    ["http://[::1]:8880", "[::1]:8880", 200],
    ["http://[0:0::1]:8880", "[::1]:8880", 200],
    ["https://app.example", "app.example", 200], // TLS ends at a proxy
    ["https://app.example", "app.example:443", 200],
    ["https://app.example:443", "app.example", 200],
    ["http://app.example", "app.example:80", 200],
    ["http://app.example", "app.example:443", 403],
    ["https://app.example", "app.example:80", 403],
    ["https://friend.example", "app.example", 200], // listed
    ["https://FRIEND.example:443", "app.example", 200],
    ["chrome-extension://abcdef", "app.example", 200],
    ["http://friend.example", "app.example", 403],
    ["https://friend.example:8443", "app.example", 403],
    ["https://sub.friend.example", "app.example", 403],
    ["https://friend.example.evil.example", "app.example", 403],
    ["https://friend.example/", "app.example", 403],
    ["https://evil.example", "app.example", 403],
    ["http://localhost:3000", "localhost:8880", 403],
    ["http://localhost", "localhost:8880", 403],
    ["http://127.0.0.1:8880", "localhost:8880", 403],
    ["null", "localhost:8880", 403],
    ["null", "null", 403],
    ["", "localhost", 403],
    ["", "", 403],
    ["http://", "", 403],
    ["file://", "localhost", 403],
    ["chrome-extension://localhost", "localhost", 403],
    ["ftp://localhost", "localhost", 403],
    ["http://kim@localhost", "localhost", 403],
    ["http://localhost, http://localhost", "localhost", 403],
    ["http://localhost http://evil.example", "localhost", 403],
    ["http://app.example", null, 403],
    ["http://evil.example", "kim@evil.example", 403],
    [`http://${LONG}`, "localhost", 403],
  ] as const
) {
  Deno.test({
    name: `Access.check: Origin ${origin?.slice(0, 40)} at Host ${host} is ${status}`,
    permissions,
    fn: async () => {
      const origins = ["https://friend.example", "chrome-extension://abcdef"];
      const headers: Record<string, string> = {};
      if (origin !== null) headers.origin = origin;
      if (host !== null) headers.host = host;
      assert.equal(await statusOf({ hosts: undefined, origins }, headers), status);
      assert.equal(await statusOf({ hosts: undefined, origins: ["*"] }, headers), 200);
    },
  });
}

for (
  const [site, mode, status] of [
    ["same-origin", "no-cors", 200],
    ["none", "navigate", 200], // typed into the address line
    ["cross-site", "navigate", 200], // a link
    ["cross-site", "no-cors", 403], // <script src>, <img src>
    ["same-site", "no-cors", 403],
    ["cross-site", "websocket", 403],
  ] as const
) {
  Deno.test({
    name: `Access.check: without an Origin, Sec-Fetch-Site ${site} in mode ${mode} is ${status}`,
    permissions,
    fn: async () => {
      const headers = { host: "localhost", "sec-fetch-site": site, "sec-fetch-mode": mode };
      assert.equal(await statusOf({}, headers), status);
    },
  });
}

for (const [method, status] of [["GET", 200], ["HEAD", 200], ["POST", 403], ["DELETE", 403]] as const) {
  Deno.test({
    name: `Access.check: a page of another origin that navigates with ${method} is ${status}`,
    permissions,
    fn: async () => {
      const headers = { host: "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
      assert.equal(await statusOf({}, headers, method), status);
    },
  });
}

Deno.test({
  name: "Access.check: what leads here by DNS rebinding has the Host of its Origin, and is 421",
  permissions,
  fn: async () => {
    assert.equal(
      await statusOf({}, { host: "evil.example:8880", origin: "http://evil.example:8880" }),
      421,
    );
  },
});

Deno.test({
  name: "OriginCheck: an origin is served by the host it names, and by no other",
  permissions,
  fn: () => {
    const check = new OriginCheck([]);
    const statusAt = (origin: string, host: string) =>
      check.refuse({ method: "GET", headers: new Headers({ origin, host }) })?.status;
    fc.assert(fc.property(
      fc.constantFrom("http", "https"),
      fc.domain(),
      fc.domain(),
      fc.integer({ min: 1, max: 65_535 }),
      (scheme, name, other, port) => {
        assert.equal(statusAt(`${scheme}://${name}:${port}`, `${name}:${port}`), undefined);
        const same = urlOfHost(name, "http")?.host === urlOfHost(other, "http")?.host;
        if (!same) assert.equal(statusAt(`${scheme}://${name}:${port}`, `${other}:${port}`), 403);
      },
    ));
  },
});

Deno.test({
  name: "OriginCheck: no text that is not an origin of the Host is served, nor breaks it",
  permissions,
  fn: () => {
    const check = new OriginCheck([]);
    const parts = fc.constantFrom(
      "http://",
      "https://",
      "app.example",
      "evil.example",
      ":80",
      "/",
      "@",
      "#",
      "?",
      "\\",
      "%",
      ".",
      " ",
    );
    fc.assert(fc.property(fc.array(parts, { maxLength: 7 }), fc.array(parts, { maxLength: 4 }), (o, h) => {
      const [origin, host] = [o.join(""), h.join("")];
      if (
        check.refuse({ method: "GET", headers: { get: (name) => ({ origin, host })[name] ?? null } }) !==
          undefined
      ) return;
      if (origin === `http://${host}` || origin === `https://${host}`) return;
      assert.equal(new URL(origin).hostname, new URL(`http://${host}`).hostname);
    }));
  },
});

Deno.test({
  name: "originOf: takes origins only, and gives each one form",
  permissions,
  fn: () => {
    for (
      const text of ["", "*", "null", "app.example", "https://", "https://a/b", "https://a?", "https://k@a"]
    ) {
      assert.equal(originOf(text), undefined, text);
    }
    assert.equal(originOf("HTTPS://BÜCHER.example:443"), "https://xn--bcher-kva.example");
    assert.equal(originOf("http://localhost:3000"), "http://localhost:3000");
  },
});
