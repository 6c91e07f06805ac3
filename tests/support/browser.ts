/** A real Chromium, Debian's, with nothing kept from one test to the next. */

import { chromium, type Page } from "playwright-core";
import axe from "axe-core";

/** Without the background traffic that a browser has of itself. */
const ARGS = [
  "--no-sandbox", // it cannot have one as root in a container; the pages are our own
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface PageOptions {
  /** @default "en-US" */
  language?: string;
  /** @default 1280 by 800 */
  size?: { width: number; height: number };
  /** @default "light" */
  colors?: "light" | "dark";
}

export class Browser implements AsyncDisposable {
  /** What the pages have complained of: console errors, exceptions, and violations of the content policy. */
  readonly complaints: string[] = [];

  private constructor(readonly browser: Awaited<ReturnType<typeof chromium.launch>>) {}

  static async start(): Promise<Browser> {
    return new Browser(await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS }));
  }

  /** A page with storage of its own. */
  async open(url: string, options: PageOptions = {}): Promise<Page> {
    const { language = "en-US", size = { width: 1280, height: 800 }, colors = "light" } = options;
    const context = await this.browser.newContext({ locale: language, viewport: size, colorScheme: colors });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack ?? error)));
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }
}

/** What stands between the page and those who cannot see it or use a mouse, by the rules of axe-core. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate("axe.run()") as {
    violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[];
  };
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}\n  ${node.html}\n  ${node.failureSummary}`)
  );
}
