/** The files of the live page, and its model of the sessions; how it looks and works is tested in a browser. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { Page } from "../../lib/sessions/http/page.ts";
import { CLOSE_CODES } from "../../lib/sessions/close_codes.ts";
import { Sessions } from "../../lib/sessions/page/sessions.js";
import { TEXTS } from "../../lib/sessions/page/texts.js";

const permissions = "none";

const MAX_BYTES = 60_000;

function get(page: Page, path: string, headers: Record<string, string> = {}): Response | undefined {
  return page.answer(
    new Request(`http://localhost${path}`, { headers: { accept: "text/html", ...headers } }),
    path,
  );
}

Deno.test({
  name: "Page: has every file that it asks for, and is sent in less than 60 KB",
  permissions,
  fn: async () => {
    const page = new Page();
    const found = new Map<string, number>();
    const asked = ["/"];
    for (const path of asked) {
      if (found.has(path)) continue;
      const content = await get(page, path)!.text();
      const sent = get(page, path, { "accept-encoding": "gzip, br" })!;
      assert.equal(sent.headers.get("content-encoding"), "gzip");
      const plain = get(page, path, { "accept-encoding": "br, gzip;q=0" })!;
      assert.equal(plain.headers.get("content-encoding"), null, "what has no weight is not wanted");
      found.set(path, (await sent.bytes()).length);
      const links = content.matchAll(/(?:src=|href=|from |fetch\()"((?:\.\/|page\/)[\w./]+)"/g);
      // modules are relative to their module, all else to the page
      for (const [, link] of links) {
        asked.push(new URL(link!, `http://localhost${link![0] === "." ? path : "/"}`).pathname);
      }
    }
    assert.ok(found.size >= 13, `there are ${[...found.keys()]}`);
    const bytes = found.values().reduce((sum, size) => sum + size);
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  },
});

Deno.test({
  name: "Page: is for those who want to see it; what a browser has already is not sent again",
  permissions,
  fn: () => {
    const page = new Page();
    assert.equal(get(page, "/", { accept: "*/*" }), undefined);
    assert.equal(get(page, "/", { accept: "text/html;q=0, */*" }), undefined);
    assert.equal(get(page, "/", { upgrade: "websocket" }), undefined);
    assert.equal(get(page, "/page/"), undefined);
    assert.equal(get(page, "/page/../page/main.js"), undefined);
    const etag = get(page, "/")!.headers.get("etag")!;
    for (const known of [etag, etag.replace("W/", ""), `"other", ${etag}`]) {
      assert.equal(get(page, "/", { "if-none-match": known })!.status, 304, known);
    }
    assert.equal(get(page, "/", { "if-none-match": '"other"' })!.status, 200);
    assert.notEqual(get(page, "/page/main.js")!.headers.get("etag"), etag);
  },
});

Deno.test({
  name: "TEXTS: say the same things in each language, and what each close means",
  permissions,
  fn: () => {
    assert.deepEqual(Object.keys(TEXTS.ru), Object.keys(TEXTS.en));
    for (const { code, reason } of Object.values(CLOSE_CODES)) {
      assert.ok(`close.${code}` in TEXTS.en, `there is a text for ${code} ${reason}`);
    }
  },
});

Deno.test({
  name: "Sessions: whoever is opened after one of its client was replaced has taken that one's place",
  permissions,
  fn: () => {
    const session = (client_id: string, session_id: string, node = "n1") => ({
      ...{ client_id, session_id, node, epoch: 1 },
      connected_at: "2026-01-01T00:00:00.000Z",
    });
    const model = new Sessions();
    const replacedOf = (id: string) => model.view().find((row) => row.session === id)?.replaced;
    assert.equal(model.open(session("kim", "s1")), undefined);
    model.open(session("lee", "s2"));
    model.close(session("kim", "s1"), true);
    assert.equal(model.open(session("lee 2", "s3")), undefined, "another client");
    assert.equal(model.open(session("kim", "s4", "n2")), "s1");
    assert.deepEqual(replacedOf("s4"), { session: "s1", node: "n1" });
    model.filterBy("S1");
    assert.deepEqual(
      model.view().map((row) => row.session),
      ["s4"],
      "who looks for a session finds its successor",
    );
    model.filterBy("");

    model.close(session("lee", "s2"));
    assert.equal(model.open(session("lee", "s5")), undefined, "it left by itself");
    model.close(session("kim", "s4"), true);
    model.beginSnapshot();
    model.endSnapshot();
    assert.equal(model.open(session("kim", "s6")), undefined, "not known after a snapshot");
  },
});

/** A session of one of few clients and nodes, so that they meet. */
const sessions = fc.record({
  client_id: fc.constantFrom("kim", "KIM 2", "kim 10", "lee"),
  session_id: fc.uuid(),
  node: fc.constantFrom("n1", "n2"),
  epoch: fc.nat(5),
  connected_at: fc.constantFrom("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
});

const steps = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("open"), session: sessions }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("close"), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("look") }) },
  fc.record({ kind: fc.constant("filter"), text: fc.constantFrom("", "kim", "n1", "a") }),
  fc.record({ kind: fc.constant("node"), node: fc.constantFrom("", "n1", "n3") }),
  fc.record({
    kind: fc.constant("order"),
    column: fc.constantFrom("client", "session", "node", "since"),
    descending: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("snapshot"),
    page: fc.array(sessions, { maxLength: 5 }),
    keep: fc.boolean(),
  }),
);

Deno.test({
  name: "Sessions: what is shown, kept up step by step, is what would be shown if made anew",
  permissions,
  fn: () => {
    fc.assert(fc.property(fc.array(steps, { maxLength: 60 }), (script) => {
      // deno-lint-ignore no-explicit-any -- steps of many shapes
      const known = new Map<string, any>();
      const stepwise = new Sessions();
      let filter = "";
      let node = "";
      let order = stepwise.order;
      // deno-lint-ignore no-explicit-any -- as above
      for (const step of script as any[]) {
        if (step.kind === "open") {
          if (known.has(step.session.session_id)) continue;
          known.set(step.session.session_id, step.session);
          stepwise.open(step.session);
        } else if (step.kind === "close") {
          const session = [...known.values()][step.which % Math.max(known.size, 1)];
          if (session) known.delete(session.session_id);
          if (session) assert.equal(stepwise.close(session), true);
        } else if (step.kind === "look") stepwise.view();
        else if (step.kind === "filter") stepwise.filterBy(filter = step.text);
        else if (step.kind === "node") stepwise.filterByNode(node = step.node);
        else if (step.kind === "order") {
          stepwise.orderBy(step.column, step.descending);
          order = stepwise.order;
        } else {
          if (!step.keep) known.clear();
          for (const session of step.page) known.set(session.session_id, session);
          stepwise.beginSnapshot();
          stepwise.addPage([...known.values()]);
          stepwise.endSnapshot();
        }
      }
      const anew = new Sessions();
      anew.beginSnapshot();
      anew.addPage([...known.values()]);
      anew.endSnapshot();
      anew.filterBy(filter);
      anew.filterByNode(node);
      anew.orderBy(order.column, order.descending);
      const shown = (model: Sessions) => model.view().map(({ session }) => session);
      assert.deepEqual(shown(stepwise), shown(anew));
      assert.equal(stepwise.size, known.size);
      assert.deepEqual(new Map([...stepwise.nodes].sort()), new Map([...anew.nodes].sort()));
      const expected = [...known.values()].filter((session) =>
        (!node || session.node === node) &&
        `${session.client_id}\n${session.session_id}\n${session.node}`.toLowerCase().includes(filter)
      );
      assert.deepEqual(shown(stepwise).sort(), expected.map(({ session_id }) => session_id).sort());
    }));
  },
});
