/** What the tests of the live page do with it. */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { Browser } from "./browser.ts";
import { unlessOlderRuntime } from "./program.ts";
import { until } from "./wait.ts";

/** What is particular to a test with a browser. */
export interface BrowserTestOptions {
  /** It cannot be passed where a close frame comes twice. @default false */
  cleanClose?: boolean;
  /** Complaints that are meant to come. @default none */
  expected?: RegExp;
}

/** A test of the live page. */
export function test(
  behaviour: string,
  body: (browser: Browser) => Promise<void>,
  options?: BrowserTestOptions,
): void {
  browserTest(`the live page: ${behaviour}`, body, options);
}

/**
 * A test with a browser. Playwright keeps a connection to its browser process and timers that outlive a call, so what
 * the sanitizers look for is there on purpose; `Browser` ends with the test all the same.
 */
export function browserTest(
  name: string,
  body: (browser: Browser) => Promise<void>,
  { cleanClose = false, expected }: BrowserTestOptions = {},
): void {
  Deno.test({
    ...(cleanClose ? unlessOlderRuntime(name, "a close frame comes twice, an error to Chromium,") : { name }),
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using browser = await Browser.start();
      await body(browser);
      const complaints = browser.complaints.filter((complaint) => !expected?.test(complaint));
      assert.deepEqual(complaints, [], "the console is empty");
    },
  });
}

export const urlOf = (port: number) => `http://127.0.0.1:${port}/`;

/** What the table shows in the rows in sight: client, session and node of each. */
export function rowsOf(page: Page): Promise<string[][]> {
  return page.locator("tbody tr").evaluateAll((rows) =>
    rows.map((row) => [...row.children].slice(0, 3).map((cell) => cell.textContent ?? ""))
  );
}

/** How many sessions the page says there are. */
export async function countOf(page: Page): Promise<number> {
  return Number((await page.locator("#count").textContent())?.replace(/\D/g, ""));
}

export async function connect(page: Page, clientId: string): Promise<void> {
  await page.getByLabel("Client id").fill(clientId);
  await page.getByRole("button", { name: "Connect" }).first().click();
}

/** The newest card of the part to try. */
export const newestCard = (page: Page) => page.locator("#clients > li").first();

/** What the newest card says of how its last connection ended. */
export const meaningOf = (page: Page) => newestCard(page).locator(".meaning").innerText();

export async function stateBecomes(page: Page, state: string, card = newestCard(page)): Promise<void> {
  await until(async () => await card.getAttribute("data-state") === state, `the client is ${state}`);
}
