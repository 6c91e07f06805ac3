/** The live page on screens of every size. */

import assert from "node:assert/strict";
import { accessibilityProblems } from "../support/browser.ts";
import { Cluster } from "../support/cluster.ts";
import { connect, countOf, stateBecomes, test, urlOf } from "../support/live_page.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** Where screenshots go, for a person to look at. */
const SCREENSHOTS = new URL("../../dist/screenshots/", import.meta.url).pathname;
for (
  const [name, size] of [
    ["phone", { width: 390, height: 844 }],
    ["desktop", { width: 1440, height: 900 }],
    ["4K", { width: 3840, height: 2160 }],
  ] as const
) {
  test(`on a ${name} screen, light and dark, it is in order and accessible`, async (browser) => {
    await using cluster = await Cluster.start();
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, i) => WsClient.establish(cluster.port(i % 3), `client ${i}`)),
    );
    await Deno.mkdir(SCREENSHOTS, { recursive: true });
    for (const colors of ["light", "dark"] as const) {
      const page = await browser.open(urlOf(cluster.port(0)), { size, colors });
      await until(async () => await countOf(page) >= 60, "all are there");
      await connect(page, "kim");
      await stateBecomes(page, "established");
      await connect(page, "kim");
      await stateBecomes(page, "closed", page.locator("#clients > li").nth(1));
      assert.deepEqual(await accessibilityProblems(page), []);
      const [wide, high] = await page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]",
      ) as [number, number];
      assert.ok(wide <= size.width, "nothing is cut off at the side");
      if (name !== "phone") assert.ok(high <= size.height, "it fits the window");
      await page.screenshot({ path: `${SCREENSHOTS}${name}-${colors}.png` });
      await page.close();
    }
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  }, { cleanClose: true });
}
