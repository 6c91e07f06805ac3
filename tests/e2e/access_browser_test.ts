/**
 * What pages can do to a service that is not theirs: a real Chromium, and as small a server as asks access first, beside one
 * that does not, to see that an attack would work; then the same against the program.
 */

import assert from "node:assert/strict";
import { Access, type AccessOptions } from "../../lib/sessions/http/access/access.ts";
import { withResponseHeaders } from "../../lib/sessions/transport/text.ts";
import { Browser } from "../support/browser.ts";
import { sessionsOf } from "../support/cluster.ts";
import { startServer } from "../support/program.ts";
import { RawWebSocket } from "../support/raw_websocket.ts";
import { inSeconds, signWithSecret } from "../support/tokens.ts";
import { WsClient } from "../support/ws_client.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const TOKEN = "operators-token-0";

/** As a list of clients would be with two ids that spell a script. */
const SESSIONS = "globalThis.stolen=` session\n`// session\n";

/** A server that guards itself, or does not: to see that the attack would work. */
class Guarded implements AsyncDisposable {
  readonly #access: Access | undefined;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** What was let through to do its work, `method path`. */
  readonly served: string[] = [];
  /** As if the browser had not said what it fetches for, which it does only to `https:` and to this machine. */
  overPlainHttp = false;

  private constructor(access: Access | undefined) {
    this.#access = access;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request, info) => {
        const answer = await this.#answer(request, info.remoteAddr.hostname);
        return access && answer.status !== 101 ? withResponseHeaders(answer) : answer;
      },
    );
  }

  static async start(options: Partial<AccessOptions> = {}): Promise<Guarded> {
    return new Guarded(await Access.open({ origins: [], hosts: [], ...options }));
  }

  static startOpen(): Guarded {
    return new Guarded(undefined);
  }

  url(path: string, host = "127.0.0.1", scheme = "http"): string {
    return `${scheme}://${host}:${this.#server.addr.port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request, remoteAddress: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    const get = (name: string) =>
      this.overPlainHttp && name.startsWith("sec-fetch") ? null : request.headers.get(name);
    const refused = this.#access?.check({ method: request.method, url: request.url, headers: { get } });
    if (refused) return new Response(refused.line, refused);
    if (pathname === "/page") {
      return new Response("<title>a page</title>", { headers: { "content-type": "text/html" } });
    }
    if (request.headers.get("upgrade")) {
      const decision = await this.#access?.admit(request, { remoteAddress });
      if (decision?.kind === "refused") return new Response(decision.line, decision);
      const { socket, response } = Deno.upgradeWebSocket(request, { protocol: decision?.protocol });
      socket.onopen = () => socket.send(decision?.clientId ?? "anyone");
      return response;
    }
    const stranger = this.#access?.admitOperator(request);
    if (stranger) return new Response(stranger.line, stranger);
    if (pathname === "/favicon.ico") return new Response(null, { status: 404 });
    this.served.push(`${request.method} ${pathname}`);
    return pathname === "/operators"
      ? new Response("<title>operators</title>", { headers: { "content-type": "text/html" } })
      : new Response(SESSIONS, { headers: { "content-type": "text/plain; charset=utf-8" } });
  }
}

/** A test with a browser, whose library keeps timers and a connection that outlive a call. */
function test(behaviour: string, body: (browser: Browser) => Promise<void>): void {
  Deno.test({
    name: `Access in Chromium: ${behaviour}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using browser = await Browser.start();
      await body(browser);
    },
  });
}

/** In a page: the first message and the chosen subprotocol of a WebSocket, or `closed`. */
function connect(url: string, protocols?: string[]): string {
  return `new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(url)}, ${JSON.stringify(protocols ?? [])});
    socket.onmessage = ({ data }) => { socket.close(); resolve(data + "|" + socket.protocol); };
    socket.onclose = () => resolve("closed");
  })`;
}

/** In a page: what has become of an element with this source. */
function embed(element: "script" | "img", url: string): string {
  return `new Promise((resolve) => {
    const element = document.createElement(${JSON.stringify(element)});
    element.onload = () => resolve(String(globalThis.stolen ?? "loaded"));
    element.onerror = () => resolve("failed");
    element.src = ${JSON.stringify(url)};
    document.head.append(element);
  })`;
}

/** In a page: what `fetch` says, or `failed`. */
function ask(url: string, init: RequestInit): string {
  return `fetch(${JSON.stringify(url)}, ${JSON.stringify(init)}).then(({ type }) => type, () => "failed")`;
}

/** In a page: whether it reads the events. */
function follow(url: string): string {
  return `new Promise((resolve) => {
    const source = new EventSource(${JSON.stringify(url)});
    source.onopen = () => { source.close(); resolve("open"); };
    source.onerror = () => { source.close(); resolve("failed"); };
  })`;
}

test("a page of another origin can do nothing, and where nobody asks it can", async (browser) => {
  await using elsewhere = Guarded.startOpen();
  await using open = Guarded.startOpen();
  await using guarded = await Guarded.start();
  const page = await browser.open(elsewhere.url("/page"));
  const sessions = "/sessions";
  for (
    const [what, attack, worked] of [
      ["connect", (at: Guarded) => connect(at.url("/?client_id=victim", undefined, "ws")), "anyone|"],
      ["run the list as a script", (at: Guarded) => embed("script", at.url(sessions)), " session\n"],
      ["make the list, unread", (at: Guarded) => ask(at.url(sessions), { mode: "no-cors" }), "opaque"],
      [
        "take a reader's place",
        (at: Guarded) => ask(at.url(sessions), { mode: "no-cors", headers: { accept: "text/event-stream" } }),
        "opaque",
      ],
      [
        "send a message",
        (at: Guarded) =>
          ask(at.url("/sessions/kim/messages"), { method: "POST", mode: "no-cors", body: "x" }),
        "opaque",
      ],
    ] as [string, (at: Guarded) => string, string][]
  ) {
    assert.equal(await page.evaluate(attack(open)), worked, `where nobody asks it can ${what}`);
    assert.match(await page.evaluate(attack(guarded)) as string, /^(closed|failed)$/, `it can ${what}`);
  }
  assert.equal(await page.evaluate(follow(guarded.url(sessions))), "failed");
  assert.equal(await page.evaluate(ask(guarded.url("/sessions/kim"), { method: "DELETE" })), "failed");
  assert.equal(await page.evaluate(embed("img", guarded.url(sessions))), "failed");
  assert.equal(await page.evaluate(ask(guarded.url(sessions, "localhost"), {})), "failed");
  assert.deepEqual(guarded.served, [], "nothing of it has got as far as to be answered");
});

test("by plain http from elsewhere, too, no page of another origin runs, sees or reads the list", async (browser) => {
  await using elsewhere = Guarded.startOpen();
  await using guarded = await Guarded.start();
  guarded.overPlainHttp = true;
  const page = await browser.open(elsewhere.url("/page"));
  const sessions = guarded.url("/sessions");
  for (
    const attack of [embed("script", sessions), embed("img", sessions), ask(sessions, { mode: "no-cors" })]
  ) {
    assert.equal(await page.evaluate(attack), "failed");
  }
  assert.equal(guarded.served.length, 3, "it was made, for nobody");
});

test("a page whose name was made to lead here is not served", async (browser) => {
  await using open = Guarded.startOpen();
  await using guarded = await Guarded.start();
  await using friendly = await Guarded.start({ hosts: ["evil.localhost"] });
  // the browser takes every name under localhost for this machine, as a resolver does that was made to
  const page = await browser.open(open.url("/page", "evil.localhost"));
  assert.equal(await page.evaluate(ask("/sessions", {})), "basic");
  assert.equal((await page.goto(guarded.url("/page", "evil.localhost")))?.status(), 421);
  assert.equal(
    await page.evaluate(connect(guarded.url("/?client_id=victim", "evil.localhost", "ws"))),
    "closed",
  );
  assert.deepEqual(guarded.served, []);
  assert.equal((await page.goto(friendly.url("/page", "evil.localhost")))?.status(), 200);
  assert.equal(await page.evaluate(connect(friendly.url("/?client_id=kim", "evil.localhost", "ws"))), "kim|");
});

test("the service's own page connects, and pages of origins that are named", async (browser) => {
  await using friend = Guarded.startOpen();
  await using guarded = await Guarded.start({ origins: [friend.url("")] });
  for (const from of [guarded.url("/page"), friend.url("/page")]) {
    const page = await browser.open(from);
    assert.equal(await page.evaluate(connect(guarded.url("/?client_id=kim", undefined, "ws"))), "kim|");
  }
  const page = await browser.open(friend.url("/page"));
  assert.equal(
    await page.evaluate(ask(guarded.url("/sessions"), {})),
    "failed",
    "a friend may connect, not read",
  );
});

test("a token comes in a subprotocol, and is somebody's own", async (browser) => {
  const identification = { kind: "secret", secret: { value: SECRET }, rules: { claim: "sub" } } as const;
  await using guarded = await Guarded.start({ identification });
  const page = await browser.open(guarded.url("/page"));
  const token = await signWithSecret(SECRET, { sub: "kim", exp: inSeconds(3600) });
  const forged = await signWithSecret("f".repeat(32), { sub: "victim" });
  for (
    const [query, protocols, answer] of [
      ["", ["solo", `solo.token.${token}`], "kim|solo"],
      ["client_id=kim", ["solo", `solo.token.${token}`], "kim|solo"],
      [`token=${token}`, undefined, "kim|"],
      ["client_id=victim", ["solo", `solo.token.${token}`], "closed"],
      ["client_id=victim", ["solo", `solo.token.${forged}`], "closed"],
      ["client_id=victim", ["solo"], "closed"],
      ["client_id=victim", undefined, "closed"],
      ["", [`solo.token.${token}`], "closed"], // it could not be answered without repeating the token
    ] as const
  ) {
    const url = guarded.url(`/?${query}`, undefined, "ws");
    assert.equal(
      await page.evaluate(connect(url, protocols && [...protocols])),
      answer,
      `${query} ${protocols}`,
    );
  }
});

test("it asks an operator for the token, and then reads lists and events with it", async (browser) => {
  await using guarded = await Guarded.start({ operatorToken: { value: TOKEN } });
  const page = await browser.openBlank({ password: TOKEN });
  assert.equal((await page.goto(guarded.url("/operators")))?.status(), 200);
  assert.equal(await page.evaluate(ask("/sessions", {})), "basic");
  assert.deepEqual(guarded.served, ["GET /operators", "GET /sessions"]);
  assert.equal(await page.evaluate(connect(guarded.url("/?client_id=kim", undefined, "ws"))), "kim|");
  const stranger = await browser.openBlank({ password: "guess" });
  const refused = await stranger.goto(guarded.url("/operators"));
  assert.equal(refused?.status(), 401);
});

for (const transport of ["deno", "node"]) {
  test(`a page of another origin can do nothing to ws-server --transport ${transport}`, async (browser) => {
    await using elsewhere = Guarded.startOpen();
    const flags = ["--redis", "off", "--transport", transport];
    await using server = await startServer("ws-server", flags);
    await using friendly = await startServer("ws-server", [...flags, "--allow-origin", elsewhere.url("")]);
    const address = `127.0.0.1:${server.port}`;
    const names = ["globalThis.stolen=`", "victim", "`//"]; // as a list they are a script
    const clients: WsClient[] = [];
    for (const name of names) clients.push(await WsClient.establish(server.port, name));
    const before = await sessionsOf(server.port);

    const page = await browser.open(elsewhere.url("/page"));
    for (
      const attack of [
        connect(`ws://${address}/?client_id=victim`),
        embed("script", `http://${address}/sessions`),
        embed("img", `http://${address}/sessions`),
        follow(`http://${address}/sessions`),
        ask(`http://${address}/sessions`, { mode: "no-cors", headers: { accept: "text/event-stream" } }),
        ask(`http://${address}/metrics`, { mode: "no-cors" }),
      ]
    ) {
      assert.match(await page.evaluate(attack) as string, /^(closed|failed)$/, attack);
    }
    // a page whose name was made to lead here
    const rebound = `evil.localhost:${server.port}`;
    for (const path of ["/", "/sessions", "/metrics"]) {
      assert.equal((await page.goto(`http://${rebound}${path}`))?.status(), 421, path);
    }
    assert.equal(await page.evaluate(connect(`ws://${rebound}/?client_id=victim`)), "closed");
    assert.ok(clients.every(({ isOpen }) => isOpen), "nobody was thrown out");
    assert.deepEqual(await sessionsOf(server.port), before);

    // where it is allowed to it would have been a takeover
    await using kim = await WsClient.establish(friendly.port, "kim");
    const friend = await browser.open(elsewhere.url("/page"));
    const taken = await friend.evaluate(connect(`ws://127.0.0.1:${friendly.port}/?client_id=kim`));
    assert.match(taken as string, /^[0-9a-f-]{36}\|$/);
    assert.equal((await kim.end()).code, 4409);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
}

test("an operator with the token has the whole page of ws-server, others have nothing of it", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"], {
    env: { SOLO_OPERATOR_TOKEN: TOKEN },
  });
  await using _kim = await WsClient.establish(server.port, "kim-of-the-list");
  const url = `http://127.0.0.1:${server.port}/`;
  const page = await browser.openBlank({ password: TOKEN });
  assert.equal((await page.goto(url))?.status(), 200);
  await page.getByText("kim-of-the-list").first().waitFor();
  const stranger = await browser.openBlank();
  for (const path of ["", "page/main.js", "sessions", "metrics"]) {
    const refused = await stranger.request.get(url + path, { headers: { accept: "text/html" } });
    assert.equal(refused.status(), 401, path);
  }
});

for (const transport of ["deno", "node"]) {
  test(`a page of another origin can operate on nothing of ws-server --transport ${transport}, though an operator has signed in`, async (browser) => {
    await using elsewhere = Guarded.startOpen();
    await using server = await startServer("ws-server", ["--redis", "off", "--transport", transport], {
      env: { SOLO_OPERATOR_TOKEN: TOKEN },
    });
    const kim = await RawWebSocket.connect(server.port, "kim");
    using _kim = kim;
    const { text: sessionId } = await kim.text();
    const url = `http://127.0.0.1:${server.port}`;
    const page = await browser.openBlank({ password: TOKEN });
    assert.equal((await page.goto(url))?.status(), 200); // the browser sends the password by itself from here on
    const signedIn = (path: string, init: RequestInit) =>
      page.evaluate(
        `fetch(${JSON.stringify(url + path)}, ${
          JSON.stringify(init)
        }).then(({ status }) => status, () => "failed")`,
      );
    assert.equal(await signedIn("/sessions/kim", {}), 200);

    await page.goto(elsewhere.url("/page"));
    const unread = { mode: "no-cors", credentials: "include" } as const;
    for (
      const [path, init] of [
        ["/sessions/kim", unread],
        ["/sessions/kim", { method: "DELETE", credentials: "include" }],
        ["/sessions/kim?block=60", { method: "DELETE", credentials: "include" }],
        ["/sessions/kim/messages", { method: "POST", body: "x", ...unread }],
        ["/sessions/kim/messages", { method: "POST", body: "x", credentials: "include" }],
      ] as [string, RequestInit][]
    ) {
      assert.equal(await signedIn(path, init), "failed", `${init.method} ${path}`);
    }
    // a form needs no permission to be sent anywhere; the browser says where it comes from
    const answered = page.waitForResponse((response) => response.url().endsWith("/messages"));
    await page.evaluate(`{
      const form = document.createElement("form");
      Object.assign(form, { method: "post", enctype: "text/plain", action: ${
      JSON.stringify(`${url}/sessions/kim/messages`)
    } });
      form.innerHTML = "<input name=a value=b>";
      document.body.append(form);
      form.submit();
    }`);
    assert.equal((await answered).status(), 403);
    await page.waitForURL("**/messages");

    // the service's own page may
    await page.goto(url);
    assert.equal(
      await signedIn("/sessions/kim/messages", { method: "POST", body: "the only one" }),
      200,
    );
    assert.equal((await kim.text()).text, "the only one");
    assert.equal(
      await signedIn("/sessions/kim", { method: "DELETE", headers: { "if-match": `"${sessionId}"` } }),
      200,
    );
    assert.equal((await kim.close()).code, 4403);
  });
}
