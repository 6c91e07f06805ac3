/** What an operator does on the live page, in a real Chromium, with the sessions of real clients on two processes. */

import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { TEXTS } from "../../lib/sessions/page/texts.js";
import { accessibilityProblems, type Browser } from "../support/browser.ts";
import { browserTest, urlOf } from "../support/live_page.ts";
import { ENV, TOKEN } from "../support/operator.ts";
import { startServer } from "../support/program.ts";
import { Redis } from "../support/redis.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

/** Long enough for a look at a process that stands still. */
const LEASE_S = 30;

/** What a browser says of answers that are no success. */
const NO_SUCCESS = /^Failed to load resource: the server responded with a status of \d+/;

const test = (behaviour: string, body: (browser: Browser) => Promise<void>) =>
  browserTest(`the live page for operators: ${behaviour}`, body, { expected: NO_SUCCESS });

const start = (args: string[]) => startServer("ws-server", args, { env: ENV });

async function lookUp(page: Page, clientId: string): Promise<void> {
  await page.locator("#looked-up").fill(clientId);
  await page.locator("#look-up button").click();
}

const sessionShown = (page: Page) => page.locator("#found-session").textContent();

async function tells(page: Page, what: RegExp): Promise<void> {
  const outcome = page.locator("#outcome");
  await until(async () => what.test(await outcome.textContent() ?? ""), `it tells ${what}`).catch(
    async (error) => {
      throw new Error(`${error.message}; it tells ${await outcome.textContent()}`);
    },
  );
}

async function endSession(page: Page, block = "0"): Promise<void> {
  await page.locator("#end-question").click();
  await page.locator("#block").selectOption(block);
  await page.locator("#end button.danger").click();
}

test("looks up a client, writes to it, is told who takes over, and ends and blocks it", async (browser) => {
  await using redis = await Redis.start();
  const flags = ["--redis", redis.url, "--lease", String(LEASE_S)];
  await using here = await start([...flags, "--transport", "node"]);
  await using there = await start([...flags, "--transport", "deno"]);
  await using kim = await WsClient.establish(there.port, "kim & 👨‍👩‍👧/../.");
  await using lee = await WsClient.establish(there.port, "lee");
  const page = await browser.open(urlOf(here.port), { password: TOKEN });

  await lookUp(page, "nobody");
  await tells(page, /^Nobody is connected/);
  await page.locator("tbody").getByRole("button", { name: kim.clientId }).click();
  await until(async () => await sessionShown(page) === await kim.sessionId, "it is found");
  assert.equal(await page.evaluate("document.activeElement.id"), "found", "the focus goes where it is shown");
  assert.deepEqual(await accessibilityProblems(page), []);

  await page.locator("#message").fill("two\nlines и ещё");
  await page.locator("#write button").click();
  await tells(page, /^Sent to session/);
  await until(() => kim.messages.length > 0, "it has arrived");
  assert.deepEqual(kim.messages, ["two\nlines и ещё"]);
  await page.locator("#message").fill("x".repeat(64 * 1024 + 1));
  await page.locator("#write button").click();
  await tells(page, /longer than 64 KiB: nothing was sent/);

  await using newer = await WsClient.establish(here.port, kim.clientId);
  await kim.end();
  const newerId = await newer.sessionId;
  await tells(page, new RegExp(`^Session ${newerId.slice(0, 8)} on node \\w{8} has taken over`));
  assert.ok(await page.locator("#operations").isHidden(), "there is nothing more to do with the old one");

  await lookUp(page, kim.clientId);
  await until(async () => await sessionShown(page) === newerId, "the newer one is found");
  await page.locator("#end-question").click();
  assert.deepEqual(await accessibilityProblems(page), []);
  await page.keyboard.press("Escape");
  assert.ok(newer.isOpen, "it was not meant");
  await endSession(page, "3600");
  await tells(page, /^Ended. The client is refused for an hour/);
  assert.deepEqual(await newer.end(), { code: 4403, reason: "ended by the operator" });
  await assert.rejects(WsClient.establish(there.port, kim.clientId));

  await lookUp(page, "lee");
  await until(async () => await sessionShown(page) === await lee.sessionId, "it is found");
  await lee[Symbol.asyncDispose]();
  await tells(page, /^This session has ended/);

  await using frozen = await WsClient.establish(there.port, "frozen");
  await lookUp(page, "frozen");
  await until(async () => await sessionShown(page) === await frozen.sessionId, "it is found");
  there.program.kill("SIGSTOP");
  await page.locator("#message").fill("are you there?");
  await page.locator("#write button").click();
  await tells(page, /perhaps the message was sent, perhaps not/);
  await endSession(page);
  await page.locator("#ending").waitFor({ state: "hidden" });
  assert.equal(await page.locator("#outcome").textContent(), "", "not before it has ended");
  there.program.kill("SIGCONT");
  await tells(page, /^Ended/);
  assert.equal((await frozen.end()).code, 4403);
});

/** For each way to fail, some of the words that say so. */
const FAILURES: Record<string, Record<number, [en: RegExp, ru: RegExp]>> = {
  GET: {
    401: [/token.*sign in/, /токен.*войдите/],
    404: [/Nobody is connected/, /никто не подключён/],
    503: [/cannot reach its registry/, /не видит реестр/],
  },
  POST: {
    401: [/token.*sign in/, /токен.*войдите/],
    404: [/not connected any more: nothing was sent/, /уже не подключён: ничего не отправлено/],
    412: [/another session by now: nothing was sent/, /уже другая сессия: ничего не отправлено/],
    413: [/longer than 64 KiB: nothing/, /длиннее 64 КиБ: ничего/],
    503: [/perhaps the message was sent, perhaps not/, /возможно, отправлено, а возможно, нет/],
    500: [/answered 500: what it says/, /Ответ сервера 500: what it says/],
  },
  DELETE: {
    401: [/token.*sign in/, /токен.*войдите/],
    404: [/not connected any more/, /уже не подключён/],
    412: [/another session by now.*left alone/, /уже другая сессия, её не тронули/],
    503: [/perhaps the session has ended/, /возможно, завершена/],
  },
};

test("says in English and in Russian in which way an operation failed", async (browser) => {
  await using server = await start(["--redis", "off"]);
  await using kim = await WsClient.establish(server.port, "kim");
  for (const [i, language] of (["en-US", "ru-RU"] as const).entries()) {
    let failing = { method: "", status: 0 };
    const page = await browser.open(urlOf(server.port), {
      language,
      password: TOKEN,
      files: (path, method) =>
        path.startsWith("/sessions/") && method === failing.method
          ? new Response("what it says\n", { status: failing.status })
          : undefined,
    });
    for (const [method, statuses] of Object.entries(FAILURES)) {
      failing = { method: "", status: 0 };
      await lookUp(page, "kim");
      await until(async () => await sessionShown(page) === await kim.sessionId, "it is found");
      for (const [status, words] of Object.entries(statuses)) {
        failing = { method, status: Number(status) };
        if (method === "GET") await lookUp(page, "kim");
        else if (method === "DELETE") await endSession(page);
        else {
          await page.locator("#message").fill("text");
          await page.locator("#write button").click();
        }
        await tells(page, words[i]!);
        assert.match(await page.locator("#outcome").getAttribute("class") ?? "", /failed/);
        if (method === "GET") assert.ok(await page.locator("#found").isHidden(), "nobody is shown");
      }
    }
    await lookUp(page, "..");
    const problem = await page.locator("#looked-up").evaluate((input: { validationMessage: string }) =>
      input.validationMessage
    );
    assert.equal(problem, TEXTS[i === 0 ? "en" : "ru"]["failed.path"]);
    await page.context().close();
  }
  assert.ok(kim.isOpen, "none of it was done");
});

test("is not there where there are no operators", async (browser) => {
  await using open = await startServer("ws-server", ["--redis", "off"]);
  await using _kim = await WsClient.establish(open.port, "kim");
  const page = await browser.open(urlOf(open.port));
  await page.getByText("kim", { exact: true }).first().waitFor();
  assert.ok(await page.locator("#operate").isHidden());
  assert.equal(await page.locator("tbody button").count(), 0);
  const answer = await page.evaluate(
    "fetch('sessions/kim', { method: 'DELETE' }).then(({ status }) => status)",
  );
  assert.equal(answer, 404, "the operations do not exist");
});
