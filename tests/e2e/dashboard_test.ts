/** What operators look at, docs/grafana.json and docs/alerts.yaml, against `/metrics` of real servers with clients. */

import assert from "node:assert/strict";
import { parse } from "yaml";
import { bearer } from "../support/access.ts";
import { Cluster } from "../support/cluster.ts";
import { ENV, pathOf, statusOf, TOKEN } from "../support/operator.ts";
import { startServer } from "../support/program.ts";
import { missingFrom, type Samples, samplesOf } from "../support/prometheus.ts";
import { Peer } from "../support/tasks.ts";
import { until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const DOCS = new URL("../../docs/", import.meta.url);

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets?: { expr: string; legendFormat: string }[];
}

interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; query: string }[] };
}

const dashboard: Dashboard = JSON.parse(await Deno.readTextFile(new URL("grafana.json", DOCS)));
const graphs = dashboard.panels.filter(({ type }) => type !== "row");

/** With values in the place of Grafana's variables. */
function filledIn(text: string): string {
  return text.replace(/\$\{?(\w+)\}?/g, (_, name) => {
    assert.ok(dashboard.templating.list.some((variable) => variable.name === name), `there is $${name}`);
    return ".*";
  });
}

/** What both services show after clients have come, replaced each other, been refused, and left. */
async function samplesAfterTraffic(): Promise<Samples> {
  await using cluster = await Cluster.start({
    nodes: 2,
    args: ["--max-connections", "2", "--takeover-limit", "2"],
  });
  await using operated = await startServer("ws-server", ["--redis", "off"], { env: ENV });
  assert.equal(await statusOf(operated.port, "GET", pathOf("kim")), 404);
  await using tasks = await startServer("tasks-server", ["--metrics", "127.0.0.1:0"]);
  const [, watch] = await tasks.program.line(/metrics on (http:\S+)\/metrics/);
  await using kim = new WsClient(cluster.port(0), "kim");
  await kim.sessionId;
  await using lee = await WsClient.establish(cluster.port(0), "lee");
  await assert.rejects(WsClient.establish(cluster.port(0), "one too many"));
  await using _newer = await WsClient.establish(cluster.port(1), "kim");
  await kim.end();
  await using _newest = await WsClient.establish(cluster.port(1), "kim");
  assert.ok(lee.isOpen);
  await until(async () => {
    await using crowded = new WsClient(cluster.port(1), "kim"); // 1006 while there is no room for another connection
    return (await crowded.end()).code === 4429;
  }, "a third takeover is refused");
  {
    using peer = await Peer.connect(tasks.port);
    await peer.ask({ type: "run", task_name: "echo", data: "text" });
    await peer.ask({ type: "status", task_id: 1 });
  }
  const ports = [cluster.port(0), cluster.port(1), operated.port];
  const urls = [...ports.map((port) => `http://127.0.0.1:${port}/metrics`), `${watch}/metrics`];
  let samples: Samples = new Map();
  await until(async () => {
    samples = samplesOf(
      ...await Promise.all(
        urls.map(async (url) => (await fetch(url, { headers: bearer(TOKEN) })).text()),
      ),
    );
    const where = samples.get("solo_takeovers_total")?.map((labels) => labels.where).sort();
    return where?.join() === "local,remote" && samples.has("solo_lease_renewals_total");
  }, "the processes show what there was, and have renewed a lease");
  return samples;
}

Deno.test("docs/grafana.json and docs/alerts.yaml: every metric and label they ask for is there after some traffic", async () => {
  const samples = await samplesAfterTraffic();
  assert.deepEqual(missingFrom(samples, 'rate(solo_none[5m]) + solo_connections{reason="full"}'), [
    "solo_none",
    "solo_connections{reason}",
  ], "what is not there is found");
  for (const { title, targets } of graphs) {
    for (const { expr, legendFormat } of targets!) {
      assert.deepEqual(missingFrom(samples, filledIn(expr)), [], `${title}: ${expr}`);
      const grouped = /by \(([^)]*)\)/.exec(expr)?.[1]?.split(", ");
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        assert.ok(!grouped || grouped.includes(label!), `${title}: the legend's ${label} is left by ${expr}`);
      }
    }
  }
  for (const { query } of dashboard.templating.list.filter(({ query }) => query.startsWith("label_values"))) {
    assert.ok(samples.has(/\((\w+), job\)/.exec(query)![1]!), query);
  }
  const { groups } = parse(await Deno.readTextFile(new URL("alerts.yaml", DOCS)));
  for (const { alert, expr } of groups.flatMap(({ rules }: { rules: unknown[] }) => rules)) {
    // nobody has made it hold so much that it had to close a connection
    const missing = missingFrom(samples, expr).filter((what) => !what.endsWith('{reason="memory"}'));
    assert.deepEqual(missing, [], `${alert}: ${expr}`);
  }
});

Deno.test("docs/grafana.json: each graph says what to make of it, and none lies over another", () => {
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  for (const { id, title, description, gridPos: { x, y, w, h } } of graphs) {
    assert.ok(description && description.length > 40, `${title} says what to do`);
    assert.ok(x + w <= 24, title);
    for (const other of dashboard.panels) {
      const { gridPos } = other;
      const apart = gridPos.x >= x + w || x >= gridPos.x + gridPos.w || gridPos.y >= y + h ||
        y >= gridPos.y + gridPos.h;
      assert.ok(apart || other.id === id, `${title} and ${other.title}`);
    }
  }
});
