/** A real Chromium, Debian's, with nothing kept from one test to the next. */

import axe from "axe-core";
import { PATIENCE_MS } from "./wait.ts";
import type { Browser as Chromium, BrowserContext, Page, Route } from "playwright-core";

// It looks for signs of Windows in /proc when it is loaded, which Deno lets nobody who may not do everything. This
// variable of the library that it looks with puts that off for ever.
Deno.env.set("__IS_WSL_TEST__", "1");
const { chromium } = await import("playwright-core");

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

/** What the browser itself says when tests end a server; no page can prevent it. */
const SERVER_IS_AWAY = /net::ERR_|^WebSocket connection to \S+ failed/;

export interface PageOptions {
  /** @default "en-US" */
  language?: string;
  /** @default 1280 by 800 */
  size?: { width: number; height: number };
  /** @default "light" */
  colors?: "light" | "dark";
  /** Answers in the place of the server, where it does. */
  files?: (path: string, method: string) => Response | undefined;
  /** The password for HTTP Basic, where the server asks for one. */
  password?: string;
}

/** The process, which all tests of a file share: it takes more than a second to start. */
let process: Promise<Chromium> | undefined;

Deno.test.afterAll(async () => await (await process)?.close());

/** A browser as a test sees it; what one leaves in its pages no other finds. */
export class Browser implements AsyncDisposable {
  /** What the pages have complained of: console errors, exceptions, and violations of the content policy. */
  readonly complaints: string[] = [];
  readonly #process: Chromium;
  readonly #contexts: BrowserContext[] = [];

  private constructor(process: Chromium) {
    this.#process = process;
  }

  static async start(): Promise<Browser> {
    process ??= chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
    return new Browser(await process);
  }

  /** A page with storage of its own, and nothing in it yet. */
  async openBlank(options: PageOptions = {}): Promise<Page> {
    const { language = "en-US", size = { width: 1280, height: 800 }, colors = "light" } = options;
    const context = await this.#process.newContext({
      ...{ locale: language, viewport: size, colorScheme: colors },
      ...options.password && { httpCredentials: { username: "anyone", password: options.password } },
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(OBSERVE_TASKS);
    if (options.files) {
      await context.route("**/*", (route) => answerFrom(options.files!, route));
      // such a page comes from nowhere, and may not connect to this machine unasked
      await context.grantPermissions(["local-network-access"]);
    }
    return await context.newPage();
  }

  /** The same, with what a server has at `url`. */
  async open(url: string, options: PageOptions = {}): Promise<Page> {
    const page = await this.openBlank(options);
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (!SERVER_IS_AWAY.test(message.text())) this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack ?? error)));
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#contexts.map((context) => context.close()));
  }
}

async function answerFrom(files: NonNullable<PageOptions["files"]>, route: Route): Promise<void> {
  const answer = files(new URL(route.request().url()).pathname, route.request().method());
  if (!answer) return await route.continue();
  const headers = Object.fromEntries(answer.headers);
  await route.fulfill({ status: answer.status, headers, body: await answer.text() });
}

const OBSERVE_TASKS = `
  globalThis.longestTaskMs = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestTaskMs = Math.max(longestTaskMs, duration);
  }).observe({ type: "longtask" });
`;

/** The longest time, in ms, in which a page could not answer its user since it was loaded; 0 where under 50. */
export async function longestTaskMs(page: Page): Promise<number> {
  return await page.evaluate("longestTaskMs") as number;
}

/** How long it takes to put a table with so many rows into a page that is otherwise empty, ms. */
export async function timeToRender(page: Page, rows: number): Promise<number> {
  return await page.evaluate(`{
    const start = performance.now();
    const row = "<tr>" + "<td>a client or a session</td>".repeat(4) + "</tr>";
    document.body.innerHTML = "<table>" + row.repeat(${rows}) + "</table>";
    document.body.getBoundingClientRect(); // the layout is part of it
    performance.now() - start;
  }`) as number;
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
