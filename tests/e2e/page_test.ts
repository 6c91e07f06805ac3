/** The live page in a real Chromium, with sessions of other clients on other processes. */

import assert from "node:assert/strict";
import { Caddy } from "../support/caddy.ts";
import { Cluster, sessionsOf, untilListed } from "../support/cluster.ts";
import {
  connect,
  countOf,
  meaningOf,
  newestCard,
  rowsOf,
  stateBecomes,
  test,
  urlOf,
} from "../support/live_page.ts";
import { metricOf } from "../support/metrics.ts";
import { startServer } from "../support/program.ts";
import { freePort } from "../support/ports.ts";
import { until, untilCounted } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

// Those without a browser come first: later it is there, and the sanitizers would wonder at it.

Deno.test("GET / : the page is for browsers, may do nothing but what it needs, and is sent once", async () => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const url = urlOf(server.port);
  const accept = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
  const response = await fetch(url, { headers: accept });
  assert.match(response.headers.get("content-type")!, /^text\/html/);
  const policy = response.headers.get("content-security-policy")!;
  for (
    const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
  ) {
    assert.ok(policy.includes(rule));
  }
  assert.ok(!policy.includes("unsafe"));
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  const html = await response.text();
  assert.doesNotMatch(
    html,
    /<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?:\/\//,
    "nothing inline, nothing from elsewhere",
  );

  const again = await fetch(url, { headers: { ...accept, "if-none-match": response.headers.get("etag")! } });
  assert.equal(again.status, 304);
  await again.body?.cancel();
  const plain = await fetch(url);
  assert.equal(plain.status, 426, "for everyone else nothing has changed");
  await plain.body?.cancel();
  const folder = await fetch(`${url}page/`, { headers: accept });
  assert.equal(folder.status, 404);
  await folder.body?.cancel();
});

Deno.test("GET / : --no-page, or its variable, leaves no trace of the page but the client for everyone", async () => {
  for (const [args, env] of [[["--no-page"], {}], [[], { SOLO_NO_PAGE: "1" }]] as const) {
    await using server = await startServer("ws-server", ["--redis", "off", ...args], { env });
    const answers = await Promise.all(
      ["", "page/main.js", "page/client.js", "client.js"].map((path) =>
        fetch(urlOf(server.port) + path, { headers: { accept: "text/html" } }).then(async (response) => {
          await response.body?.cancel();
          return response.status;
        })
      ),
    );
    assert.deepEqual(answers, [426, 404, 404, 200]);
  }
});

test("shows the sessions of every process as they come, are replaced and go", async (browser) => {
  await using cluster = await Cluster.start();
  await using before = await WsClient.establish(cluster.port(1), "before");
  const page = await browser.open(urlOf(cluster.port(0)));
  await until(async () => (await rowsOf(page)).length === 1, "it is in the table");
  assert.deepEqual((await rowsOf(page))[0]!.slice(0, 2), ["before", await before.sessionId]);

  await using kim = await WsClient.establish(cluster.port(1), "kim");
  await until(async () => (await rowsOf(page))[0]?.[0] === "kim", "the newest is at the top");
  const kimId = await kim.sessionId;
  await using newer = await WsClient.establish(cluster.port(2), "kim");
  await kim.end();
  const newerId = await newer.sessionId;
  await until(async () => (await rowsOf(page))[0]?.[1] === newerId, "the newer one has taken over");
  assert.equal(await countOf(page), 2);
  assert.equal(await page.locator("#takeovers").textContent(), "1");
  const replaced = page.locator("tbody tr", { hasText: newerId }).locator("small");
  assert.match(
    (await replaced.innerText()).trim(),
    new RegExp(`^replaced ${kimId.slice(0, 8)} on [0-9a-f]{8}$`),
  );
  assert.equal(await replaced.getAttribute("title"), kimId);
  const [row] = await rowsOf(page);
  assert.deepEqual(
    (await page.locator("#nodes code").allTextContents()).sort(),
    [row![2], (await rowsOf(page))[1]![2]].sort(),
  );

  await newer[Symbol.asyncDispose]();
  await until(async () => await countOf(page) === 1, "it is gone");
});

test("the sessions of a killed process go with its lease, and it says when its own process is away", async (browser) => {
  await using cluster = await Cluster.start({ nodes: 2 });
  const port = freePort();
  await using _stays = await WsClient.establish(cluster.port(0), "stays");
  await using lost = new WsClient(cluster.port(1), "lost");
  await lost.sessionId;
  const own = await cluster.add(["--port", String(port)]);
  const page = await browser.open(urlOf(port));
  const status = page.getByRole("status");
  await until(async () => await countOf(page) === 2, "both are shown");

  await cluster.servers[1]!.program.stop("SIGKILL");
  await lost.end();
  assert.equal(await countOf(page), 2, "nobody knows yet");
  await cluster.endLease(cluster.servers[1]!);
  await until(
    async () => (await rowsOf(page)).map(([client]) => client).join() === "stays",
    "the other is gone",
  );

  await connect(page, "mine");
  await stateBecomes(page, "established");
  await own[Symbol.asyncDispose]();
  await cluster.endLease(own);
  await until(async () => await status.textContent() === "Reconnecting", "it notices");
  await stateBecomes(page, "retrying");
  assert.match(await newestCard(page).locator(".meaning").innerText(), /broke/);
  await using late = await WsClient.establish(cluster.port(0), "late");
  await cluster.add(["--port", String(port)]);
  await until(async () => await status.textContent() === "Live", "it is back");
  await stateBecomes(page, "established");
  const lateId = await late.sessionId;
  await until(
    async () => (await rowsOf(page)).some(([, session]) => session === lateId),
    "it shows what it missed",
  );
  await until(async () => await countOf(page) === 3, "all three are counted");
});

test("behind a balancer it goes on at another process when its own is killed", async (browser) => {
  await using cluster = await Cluster.start();
  await using balancer = await Caddy.start({ upstreams: cluster.servers.map(({ port }) => port) });
  await using witness = await WsClient.establish(cluster.port(0), "witness");
  const page = await browser.open(urlOf(balancer.port));
  await until(async () => await countOf(page) === 1, "it is there");
  const readers = await Promise.all(
    cluster.servers.map(({ port }) => metricOf(port, "solo_event_readers")),
  );
  const serving = readers.indexOf(1);
  await cluster.servers[serving]!.program.stop("SIGKILL");
  await cluster.endLease(cluster.servers[serving]!);
  const witnessIsLost = serving === 0;
  await using late = await WsClient.establish(cluster.port((serving + 1) % 3), "late");
  const lateId = await late.sessionId;
  await until(async () => (await rowsOf(page)).some(([, session]) => session === lateId), "it goes on");
  await until(
    async () => await countOf(page) === (witnessIsLost ? 1 : 2),
    "the dead one's sessions are gone",
  );
  assert.equal(await page.getByRole("status").textContent(), "Live");
  if (witnessIsLost) await witness.end();
});

test(
  "two tabs with one client id: the newer replaces the older, which says so and stays away",
  async (browser) => {
    await using cluster = await Cluster.start();
    const first = await browser.open(urlOf(cluster.port(0)));
    await connect(first, "kim");
    await stateBecomes(first, "established");
    const link = await newestCard(first).getByRole("link").getAttribute("href");
    const second = await browser.open(new URL(link!, urlOf(cluster.port(1))).href);
    assert.equal(await second.getByLabel("Client id").inputValue(), "kim");
    assert.equal(await second.locator("#clients > li").count(), 0, "it does not connect unasked");
    await second.getByRole("button", { name: "Connect" }).click();
    await stateBecomes(second, "established");
    await stateBecomes(first, "closed");
    assert.equal(await newestCard(first).locator("dd").last().innerText(), "4409");
    assert.match(await meaningOf(first), /taken over.*stays away/);
    await until(
      async () => /^Session \w{8} on node \w{8} has taken over/.test(await meaningOf(first)),
      "it says who has replaced it",
    );
    await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than the wait before a reconnection
    assert.equal(await newestCard(first).getAttribute("data-state"), "closed");
    const sessionId = await newestCard(second).locator("dd").first().innerText();
    assert.deepEqual(await sessionsOf(cluster.port(2)), new Map([["kim", sessionId]]));

    await newestCard(first).getByRole("button", { name: "Connect" }).click();
    await stateBecomes(second, "closed");
    await stateBecomes(first, "established");
  },
  { cleanClose: true },
);

test("several clients of one page, with odd names, are opened, closed and removed", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const page = await browser.open(urlOf(server.port));
  const names = ["a", "two words", "<b>&amp;</b>", "👨‍👩‍👧", "ключ"];
  for (const name of names) {
    await connect(page, name);
    await stateBecomes(page, "established");
  }
  assert.deepEqual(new Set((await sessionsOf(server.port)).keys()), new Set(names));
  await until(async () => (await rowsOf(page)).length === names.length, "all are in the table");
  assert.deepEqual((await rowsOf(page)).map(([client]) => client), [...names].reverse());
  await newestCard(page).getByRole("button", { name: "Disconnect" }).click();
  await stateBecomes(page, "closed");
  assert.equal(await newestCard(page).locator("dd").last().innerText(), "1000");
  while (await page.locator("#clients > li").count() > 0) {
    await newestCard(page).getByRole("button", { name: "Remove" }).click();
  }
  await untilListed(server.port, []);
  assert.equal(
    await page.evaluate("document.activeElement.id"),
    "client-id",
    "the focus is somewhere sensible",
  );
});

test("the filter, the order and the nodes choose what is shown", async (browser) => {
  await using cluster = await Cluster.start({ nodes: 2 });
  const clients = await Promise.all(
    Array.from({ length: 30 }, (_, i) => WsClient.establish(cluster.port(i % 2), `client ${i}`)),
  );
  const page = await browser.open(urlOf(cluster.port(0)));
  const shown = async () => (await rowsOf(page)).map(([client]) => client);
  await until(async () => await countOf(page) === 30, "all are there");

  await page.getByRole("button", { name: "Client", exact: true }).click();
  await until(async () => (await shown()).slice(0, 11).at(-1) === "client 10", "in the order of numbers");
  assert.deepEqual((await shown()).slice(0, 3), ["client 0", "client 1", "client 2"]);
  assert.equal(await page.getByRole("columnheader").first().getAttribute("aria-sort"), "ascending");
  await page.getByRole("button", { name: "Client", exact: true }).press("Enter");
  await until(async () => (await shown())[0] === "client 29", "the other way round");

  await page.getByRole("searchbox").fill("CLIENT 2");
  await until(async () => (await shown()).length === 11, "2 and 20 to 29");
  await using match = await WsClient.establish(cluster.port(1), "client 222");
  await using other = await WsClient.establish(cluster.port(1), "client 1000");
  await until(async () => (await shown())[0] === "client 222", "a new one is filtered and put in its place");
  assert.ok(match.isOpen && other.isOpen);
  await until(async () => await page.locator("#shown").innerText() === "12 of 32", "it is counted");
  await page.getByRole("searchbox").fill("nobody");
  await until(async () => (await shown()).length === 0, "nobody");
  assert.ok(await page.getByText("No session matches the filter.").isVisible());
  await page.getByRole("searchbox").fill("");

  const node = page.locator("#nodes button").first();
  await node.click();
  const name = await node.locator("code").innerText();
  await until(async () => {
    const rows = await rowsOf(page);
    return rows.length > 0 && rows.every((row) => row[2] === name);
  }, "only those of the node");
  assert.equal(await node.getAttribute("aria-pressed"), "true");
  await node.click();
  await until(
    async () => new Set((await rowsOf(page)).map((row) => row[2])).size === 2,
    "those of all nodes",
  );
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test("rows in sight stay where they are while others come above them", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const clients: WsClient[] = [];
  for (let i = 0; i < 200; i++) clients.push(await WsClient.establish(server.port, `client ${i}`));
  const page = await browser.open(urlOf(server.port));
  await untilCounted(() => countOf(page), 200, "all are there");
  await page.locator("#scroller").evaluate((scroller) => scroller.scrollTop = 2000);
  const row = page.locator("tbody tr", { has: page.getByText("client 140", { exact: true }) });
  await row.waitFor();
  const before = await row.boundingBox();
  for (let i = 0; i < 20; i++) clients.push(await WsClient.establish(server.port, `new ${i}`));
  await untilCounted(() => countOf(page), 220, "the new ones are there");
  await page.waitForTimeout(100);
  assert.deepEqual(await row.boundingBox(), before);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test("everything is done with the keyboard alone", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const page = await browser.open(urlOf(server.port));
  await page.getByLabel("Client id").fill("kim");
  await page.keyboard.press("Enter");
  await stateBecomes(page, "established");
  await until(async () => (await rowsOf(page)).length === 1, "it is in the table");
  const reached: string[] = [];
  await page.evaluate("document.activeElement.blur()");
  for (let i = 0; i < 16; i++) {
    await page.keyboard.press("Tab");
    reached.push(
      await page.evaluate(
        "document.activeElement.textContent.trim().slice(0, 20) || document.activeElement.id",
      ) as string,
    );
    if (await page.evaluate("document.activeElement === document.body")) continue;
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    assert.notEqual(outline, "none", `the focus on ${reached.at(-1)} is seen`);
  }
  for (const name of ["filter", "Client", "Since", "client-id", "Connect", "Disconnect", "Remove"]) {
    assert.ok(reached.some((text) => text.startsWith(name)), `${name} is reached: ${reached.join(" → ")}`);
  }
});

test("speaks Russian to those whose browser does", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const page = await browser.open(urlOf(server.port), { language: "ru-RU" });
  await page.getByRole("button", { name: "Подключить" }).click();
  await stateBecomes(page, "established");
  assert.equal(await page.locator("html").getAttribute("lang"), "ru");
  assert.equal(await page.getByRole("status").textContent(), "На связи");
  const left = await page.locator("body").innerText();
  const english = left.match(/\b(?!Solo\b|id\b|guest\b)[A-Za-z]{3,}\b/g)?.filter((word) =>
    !/^[0-9a-f]+$/.test(word)
  );
  assert.deepEqual(english ?? [], [], "nothing is left in English");
});
