/** The live page when there are very many sessions. */

import assert from "node:assert/strict";
import { longestTaskMs, timeToRender } from "../support/browser.ts";
import { countOf, rowsOf, test, urlOf } from "../support/live_page.ts";
import { startServer } from "../support/program.ts";
import { until, untilCounted } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

test("10,000 sessions, and as many events in seconds, do not freeze it", async (browser) => {
  await using server = await startServer("ws-server", ["--redis", "off"]);
  const page = await browser.open(urlOf(server.port));
  const clients: WsClient[] = [];
  for (let i = 0; i < 5000; i += 100) {
    clients.push(
      ...await Promise.all(
        Array.from({ length: 100 }, (_, n) => WsClient.establish(server.port, `client ${i + n}`)),
      ),
    );
  }
  await untilCounted(() => countOf(page), 5000, "5,000 are shown as they come");
  for (let i = 5000; i < 10_000; i += 100) {
    clients.push(
      ...await Promise.all(
        Array.from({ length: 100 }, (_, n) => WsClient.establish(server.port, `client ${i + n}`)),
      ),
    );
  }
  await untilCounted(() => countOf(page), 10_000, "10,000 are shown as they come");
  const longestMs = [await longestTaskMs(page)];
  await page.reload();
  await untilCounted(() => countOf(page), 10_000, "and in a snapshot");
  assert.ok((await rowsOf(page)).length < 60, "only the rows in sight are in the document");
  await page.locator("#scroller").evaluate((scroller) => scroller.scrollTop = scroller.scrollHeight);
  await until(
    async () => /^client \d\d?$/.test((await rowsOf(page)).at(-1)![0]!),
    "the oldest are at the end",
  );
  assert.equal(await page.locator("tbody tr").last().getAttribute("aria-rowindex"), "10001");
  longestMs.push(await longestTaskMs(page));
  const all = await browser.open("about:blank");
  const wholeMs = await timeToRender(all, 10_000);
  assert.ok(
    Math.max(...longestMs) < wholeMs,
    `the page could not answer for ${longestMs.join(" or ")} ms, and with all rows in it for ${wholeMs} ms`,
  );
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await untilCounted(() => countOf(page), 0, "all are gone");
});
