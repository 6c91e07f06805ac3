/** What is decided before an upgrade, and in which order. */

import assert from "node:assert/strict";
import { Access } from "../../lib/sessions/http/access/access.ts";
import { Entrance, type ProcessState, type RefusalReason } from "../../lib/sessions/http/connect.ts";
import { type IncomingRequest, type RequestInfo, Upgrade } from "../../lib/sessions/transport/transport.ts";
import { inSeconds, signWithSecret } from "../support/tokens.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const INFO: RequestInfo = { remoteAddress: "127.0.0.1", completed: Promise.resolve() };

function request(query: string, headers: Record<string, string> = {}): IncomingRequest {
  return {
    method: "GET",
    url: `http://localhost/?${query}`,
    headers: new Headers({
      host: "localhost",
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "c29sbyB0ZXN0IGtleSAxMg==",
      ...headers,
    }),
  };
}

interface Circumstances {
  secret?: string;
  state?: Partial<ProcessState>;
  /** Who is blocked, and for how long. */
  blocked?: Record<string, number>;
}

/** An entrance for one connection at a time; what it does is written down. */
async function open({ secret, state = {}, blocked = {} }: Circumstances = {}) {
  const access = await Access.open({
    origins: [],
    hosts: [],
    identification: secret === undefined
      ? undefined
      : { kind: "secret", secret: { value: secret }, rules: { claim: "sub" } },
  });
  const refused: RefusalReason[] = [];
  const connected: string[] = [];
  const entrance: Entrance = new Entrance({
    access,
    state: () => ({ draining: false, registry: "ready", full: entrance.undecided >= 1, ...state }),
    blockedMs: (clientId) => blocked[clientId] ?? 0,
    connect: ({ clientId }) => {
      connected.push(clientId);
      return { onOpen() {}, onFault() {}, onEnd() {} };
    },
    onRefused: (reason) => refused.push(reason),
  });
  return { entrance, refused, connected, state };
}

async function withToken(sub: string): Promise<IncomingRequest> {
  const token = await signWithSecret(SECRET, { sub, exp: inSeconds(3600) });
  return request("", { authorization: `Bearer ${token}`, "sec-websocket-protocol": "solo" });
}

function statusOf(answer: Response | Upgrade | Promise<unknown>): number {
  assert.ok(answer instanceof Response, "an answer at once, and no upgrade");
  return answer.status;
}

Deno.test("Entrance: without tokens there is nothing to wait for", async () => {
  const { entrance, connected, refused } = await open();
  assert.ok(entrance.answer(request("client_id=kim"), INFO) instanceof Upgrade);
  assert.equal(statusOf(entrance.answer(request(""), INFO)), 400);
  assert.deepEqual([connected, refused], [["kim"], ["bad-request"]]);
});

Deno.test("Entrance: a process that takes nobody looks at no token", async () => {
  for (
    const [state, reason] of [
      [{ draining: true }, "draining"],
      [{ registry: "unleased" }, "no-lease"],
      [{ registry: "preceded" }, "preceded"],
      [{ full: true }, "full"],
    ] as [Partial<ProcessState>, RefusalReason][]
  ) {
    const { entrance, refused } = await open({ secret: SECRET, state });
    assert.equal(statusOf(entrance.answer(await withToken("kim"), INFO)), 503);
    assert.deepEqual(refused, [reason]);
  }
});

Deno.test("Entrance: a client that is blocked is told for how long, and others are let in", async () => {
  const { entrance, connected, refused } = await open({ blocked: { kim: 1500 } });
  const answer = entrance.answer(request("client_id=kim"), INFO);
  assert.equal(statusOf(answer), 403);
  assert.equal((answer as Response).headers.get("retry-after"), "2");
  assert.ok(entrance.answer(request("client_id=lee"), INFO) instanceof Upgrade);
  assert.deepEqual([connected, refused], [["lee"], ["blocked"]]);
});

Deno.test("Entrance: who waits for a check has a place", async () => {
  const { entrance, connected, refused } = await open({ secret: SECRET });
  const [kim, lee] = [await withToken("kim"), await withToken("lee")];
  const first = entrance.answer(kim, INFO);
  assert.equal(entrance.undecided, 1);
  assert.equal(statusOf(entrance.answer(lee, INFO)), 503);
  const upgrade = await first;
  assert.ok(upgrade instanceof Upgrade);
  assert.equal(upgrade.protocol, "solo");
  assert.equal(entrance.undecided, 0);
  assert.ok(await entrance.answer(lee, INFO) instanceof Upgrade);
  assert.deepEqual([connected, refused], [["kim", "lee"], ["full"]]);
});

Deno.test("Entrance: what has changed while a token was checked counts", async () => {
  const state: { draining?: boolean } = {};
  const { entrance, connected, refused } = await open({ secret: SECRET, state });
  const answer = entrance.answer(await withToken("kim"), INFO);
  state.draining = true;
  assert.equal(statusOf(await answer), 503);
  assert.deepEqual([connected, refused], [[], ["draining"]]);
});
