/** Where the reference client runs: Deno, Node 22 and Chromium, each the real one. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { CLIENT_SCRIPT } from "../../lib/sessions/http/static_file.ts";
import { Browser } from "./browser.ts";
import type { Subject, SubjectEvent, SubjectOptions } from "./client_subject.js";
import { TextLineStream } from "./lines.ts";
import { node22 } from "../../tools/node22.ts";
import { passedOn } from "./program.ts";
import { PATIENCE_MS } from "./wait.ts";

const SUBJECT = new URL("client_subject.js", import.meta.url);
const PROCESS = new URL("client_subject_process.mjs", import.meta.url).pathname;

/** A client that runs elsewhere: what `Subject` does, from afar. */
export type RemoteSubject = {
  [Method in keyof Subject]: (
    ...args: Parameters<Subject[Method]>
  ) => Promise<Awaited<ReturnType<Subject[Method]>>>;
};

export interface Platform extends AsyncDisposable {
  /** Starts a client; one at a time. */
  play(options: SubjectOptions): Promise<RemoteSubject>;
}

export const PLATFORMS: Record<string, () => Promise<Platform>> = {
  Deno: () => ProcessPlatform.start([Deno.execPath(), "run", "-q", "--no-config", "--allow-net", PROCESS]),
  // the package.json that it misses would only say that these are modules
  "Node 22": () =>
    ProcessPlatform.start([node22(), "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", PROCESS]),
  Chromium: () => BrowserPlatform.start(),
};

type Call = (method: string, ...args: unknown[]) => Promise<unknown>;

function remoteSubject(call: Call): RemoteSubject {
  const names = ["next", "untold", "timers", "advance", "sleep", "close"];
  const method = (name: string) => (...args: unknown[]) =>
    withDeadline(call(name, ...args), PATIENCE_MS, `the client does not answer ${name}(${args})`);
  return Object.fromEntries(names.map((name) => [name, method(name)])) as unknown as RemoteSubject;
}

class ProcessPlatform implements Platform {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #answers: ReadableStreamDefaultReader<string>;

  private constructor([command, ...args]: string[]) {
    this.#child = new Deno.Command(command!, {
      args,
      clearEnv: true,
      env: passedOn(),
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    this.#answers = lines.getReader();
  }

  static start(command: string[]): Promise<Platform> {
    return Promise.resolve(new ProcessPlatform(command));
  }

  async play(options: SubjectOptions): Promise<RemoteSubject> {
    await this.#call("play", options);
    return remoteSubject((...call) => this.#call(...call));
  }

  async #call(...call: unknown[]): Promise<unknown> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(call)}\n`));
    const { value } = await this.#answers.read();
    const { answer, error } = JSON.parse(value ?? '{"error":"it has ended"}');
    if (error) throw new Error(`${call}: ${error}`);
    return answer ?? undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    while (!(await this.#answers.read()).done);
    await this.#input.abort().catch(() => {});
  }
}

class BrowserPlatform implements Platform {
  private constructor(readonly browser: Browser) {}

  static async start(): Promise<Platform> {
    return new BrowserPlatform(await Browser.start());
  }

  async play(options: SubjectOptions): Promise<RemoteSubject> {
    const origin = new URL(options.url).origin.replace("ws", "http");
    const page = await this.browser.open(`${origin}/subject.html`, {
      // from the server's own origin, which need not be there
      files: (path) =>
        path === "/subject.html"
          ? new Response("<!DOCTYPE html><title>subject</title>", {
            headers: { "content-type": "text/html" },
          })
          : path === "/subject.js"
          ? new Response(Deno.readTextFileSync(SUBJECT), { headers: { "content-type": "text/javascript" } })
          : path === "/client.js"
          ? CLIENT_SCRIPT.answer(new Request(origin + path))
          : undefined,
    });
    await page.evaluate(
      `(async (options) => {
        const [{ connect }, { Subject }] = await Promise.all([import("/client.js"), import("/subject.js")]);
        globalThis.subject = new Subject(connect, options);
      })(${JSON.stringify(options)})`,
    );
    return remoteSubject((method, ...args) =>
      page.evaluate(`(async () => await subject.${method}(...${JSON.stringify(args)}))()`)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser[Symbol.asyncDispose]();
  }
}

/** Their names. */
export const PLATFORM_NAMES = Object.keys(PLATFORMS);

export const urlOf = (port: number) => `ws://127.0.0.1:${port}/`;

/** Registers tests of the client in one of them. */
export function testOn(name: string) {
  // Playwright keeps timers and a connection to its browser process
  const sanitizers = name === "Chromium" ? { sanitizeOps: false, sanitizeResources: false } : {};
  return (behaviour: string, body: (platform: Platform, t: Deno.TestContext) => Promise<void>) =>
    Deno.test({
      name: `client.js in ${name}: ${behaviour}`,
      ...sanitizers,
      fn: async (t) => {
        await using platform = await PLATFORMS[name]!();
        await body(platform, t);
      },
    });
}

/** A client that ends with its test. */
export async function play(
  platform: Platform,
  options: SubjectOptions,
): Promise<RemoteSubject & AsyncDisposable> {
  const subject = await platform.play(options);
  return { ...subject, [Symbol.asyncDispose]: () => subject.close() };
}

export async function sessionOf(subject: RemoteSubject): Promise<string> {
  const event = await subject.next() as SubjectEvent;
  assert.equal(event[0], "session", `expected a session: ${JSON.stringify(event)}`);
  return event[1] as string;
}

export async function endOf(
  subject: RemoteSubject,
): Promise<{ code: number; reason: string; waitMs?: number }> {
  const event = await subject.next() as SubjectEvent;
  assert.equal(event[0], "end", `expected an end: ${JSON.stringify(event)}`);
  return event[1] as { code: number; reason: string; waitMs?: number };
}

/** The session that a client gets when it has come as often as it needs. */
export async function sessionAtLast(subject: RemoteSubject): Promise<string> {
  while (true) {
    const [kind, what] = await subject.next() as SubjectEvent;
    if (kind === "session") return what;
    if (kind === "end") await subject.advance(what.waitMs!);
  }
}
