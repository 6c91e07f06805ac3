/** What may stand behind --redis, and what is said of anything else. */

import assert from "node:assert/strict";
import { parseRedisAddress } from "../../lib/sessions/redis_address.ts";

for (
  const [text, expected] of [
    ["redis://localhost", { kind: "single", nodes: [["localhost", 6379]], tls: false }],
    ["redis://localhost:7000/", { kind: "single", nodes: [["localhost", 7000]], tls: false }],
    ["rediss://:p%40ss%2F%3A@[::1]:7000/3", {
      kind: "single",
      nodes: [["::1", 7000]],
      tls: true,
      password: "p@ss/:",
      database: 3,
    }],
    ["redis://solo@a", { kind: "single", nodes: [["a", 6379]], tls: false, username: "solo" }],
    ["redis+sentinel://a,b:7000,[::1]/my%20primary/2", {
      kind: "sentinel",
      nodes: [["a", 26379], ["b", 7000], ["::1", 26379]],
      tls: false,
      database: 2,
      sentinel: { name: "my primary" },
    }],
    ["rediss+sentinel://solo:pw@a/m?sentinel_username=s&sentinel_password=p%26w", {
      kind: "sentinel",
      nodes: [["a", 26379]],
      tls: true,
      username: "solo",
      password: "pw",
      sentinel: { name: "m", username: "s", password: "p&w" },
    }],
    ["redis+cluster://u:p:q@a:7000,b", {
      kind: "cluster",
      nodes: [["a", 7000], ["b", 6379]],
      tls: false,
      username: "u",
      password: "p:q",
    }],
  ] as const
) {
  Deno.test(`parseRedisAddress: ${text}`, () => {
    const { nodes, ...rest } = parseRedisAddress(text);
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    assert.deepEqual({ ...given, nodes: nodes.map(({ host, port }) => [host, port]) }, expected);
  });
}

for (
  const [text, says] of [
    ["", /Give redis:/],
    ["off", /Give redis:/],
    ["http://a", /Give redis:/],
    ["redis+proxy://a", /Give redis:/],
    ["redis://", /Give redis:/],
    ["redis://u:p@ss@a", /Give redis:.*%40, %2F/],
    ["redis://u:p/ss@a", /Give redis:.*%40, %2F/],
    ["redis://u:p?ss@a", /^Give redis:.*%3F, %23[^"]*$/], // and does not take what is before the ? for an address to repeat
    ["redis+sentinel://u:p?ss@a/m", /^Give redis:.*%3F, %23[^"]*$/],
    ["redis://u:p#ss@a", /^Give redis:.*%3F, %23[^"]*$/],
    ["redis://a:0", /"a:0" is none/],
    ["redis://a:port", /"a:port" is none/],
    ["redis+cluster://a,,b", /"" is none/],
    ["redis://a/first", /database as a number/],
    ["redis://a/1/2", /database as a number/],
    ["redis://a?db=1", /nothing after a question mark/],
    ["redis://a,b", /redis\+sentinel:\/\/ or redis\+cluster:\/\/ for several/],
    ["redis+sentinel://a", /name of the primary/],
    ["redis+sentinel://a/", /name of the primary/],
    ["redis+sentinel://a/m?password=p", /only sentinel_username and sentinel_password/],
    ["redis+cluster://a/0", /a cluster has only one/],
    ["redis://u:100%@a", /% as %25/],
  ] as const
) {
  Deno.test(`parseRedisAddress: refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseRedisAddress(text), (error: Error) => {
      assert.match(error.message, says);
      return error instanceof TypeError;
    });
  });
}
