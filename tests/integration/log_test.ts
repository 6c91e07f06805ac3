/** What stands in a log where clients choose what is logged. */

import assert from "node:assert/strict";

const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const LOG = new URL("../../lib/service/log.ts", import.meta.url).href;

/** The lines that a program writes which logs this text, as it is and inside of an error. */
async function logged(text: string, format: "text" | "json"): Promise<string[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--config", CONFIG, "-"],
    stdin: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
    import { configureLog, getLogger } from ${JSON.stringify(LOG)};
    await using _log = await configureLog({ level: "info", format: "${format}", color: false });
    const text = ${JSON.stringify(text)};
    getLogger(["solo", "test"]).info("client {client} is here", { client: text });
    getLogger(["solo", "test"]).info("list {list}", { list: [text] });
  `));
  await writer.close();
  const { stderr } = await child.output();
  return new TextDecoder().decode(stderr).trimEnd().split("\n");
}

/** Turned text, a zero-width space, a joiner, a letter that shows as nothing, C1's CSI, a wide space, a line separator. */
const TRICKY = "k\u202Eim \u200B👩\u200D🚀\u3164\u{E0041}\u009B31m\u00A0\u3000\u2028Зоя";
const HIDDEN = /[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\u00a0\u3000\u3164\u{e0041}]/u;

Deno.test("configureLog: in a line of text nothing is invisible, and what is escaped can be read back", async () => {
  const [word, list] = await logged(TRICKY, "text");
  assert.doesNotMatch(word!, HIDDEN);
  assert.doesNotMatch(list!, HIDDEN);
  assert.match(word!, /k\\u202eim \\u200b👩\\u200d🚀/);
  const quoted = /client (".*") is here$/.exec(word!)![1]!;
  assert.equal(JSON.parse(quoted), TRICKY);
});

Deno.test("configureLog: in a line of JSON nothing is invisible, and it says what was logged", async () => {
  const [word, list] = await logged(TRICKY, "json");
  assert.doesNotMatch(word!, HIDDEN);
  assert.doesNotMatch(list!, HIDDEN);
  assert.equal(JSON.parse(word!).properties.client, TRICKY);
});

Deno.test("configureLog: a word stays bare, and a text cannot forge a line", async () => {
  const [bare] = await logged("kim-7", "text");
  assert.match(bare!, / client kim-7 is here$/);
  const [json] = await logged("kim-7", "json");
  assert.equal(JSON.parse(json!).message, "client kim-7 is here");
  const lines = await logged("kim\n2026-01-01T00:00:00Z INFO all is well", "text");
  assert.equal(lines.length, 2);
});
