import assert from "node:assert/strict";
import { TasksMetrics } from "../../lib/tasks/metrics.ts";
import { Watch } from "../../lib/tasks/watch.ts";
import { Peer, startTasks } from "../support/tasks.ts";
import { until } from "../support/wait.ts";

Deno.test("TasksMetrics: counts by task and outcome, and never by what clients call their tasks", async () => {
  const metrics = new TasksMetrics();
  await using server = startTasks({ observer: metrics, delayFactor: 1000 }); // what takes its time executes until it is cancelled
  metrics.watch(server);
  const shows = async (line: string) => {
    const { text } = await metrics.scrape();
    assert.ok(
      text.split("\n").includes(line),
      `${line}\n${text.replaceAll(/^(#|nodejs|process).*\n/gm, "")}`,
    );
  };
  await shows('solo_tasks_ended_total{task="echo",outcome="success"} 0');
  {
    using peer = await Peer.connect(server.port);
    await peer.ask({ type: "run", task_name: "echo", data: "ab" });
    await peer.ask({ type: "status", task_id: 1 });
    await peer.ask({ type: "run", task_name: "private", data: "" });
    await peer.ask({ type: "run", task_name: "too_long_echo", data: "" });
    await peer.ask({ type: "run", task_name: "revers", data: "abc" });
    await peer.ask({ type: "cancel", task_id: 4 });
    await shows("solo_tasks_executing 1");
    await shows("solo_tasks_waiting 0");
    await shows("solo_tasks_connections 1");
    await peer.ask({ type: "cancel", task_id: 3 });
    await peer.send('{"type":"status","task_id":99}');
    assert.equal(await peer.rest(), "");
  }
  {
    using peer = await Peer.connect(server.port);
    await peer.ask({ type: "stats" });
  }
  await until(() => server.connections === 0, "both have left");
  await shows('solo_tasks_ended_total{task="echo",outcome="success"} 1');
  await shows('solo_tasks_ended_total{task="unknown",outcome="error"} 1');
  await shows('solo_tasks_ended_total{task="revers",outcome="cancelled"} 1');
  await shows('solo_tasks_ended_total{task="too_long_echo",outcome="cancelled"} 1');
  await shows("solo_tasks_wait_seconds_count 2");
  await shows("solo_tasks_run_seconds_count 2");
  await shows("solo_tasks_kept 4");
  await shows('solo_tasks_connections_ended_total{reason="unknown-task"} 1');
  await shows('solo_tasks_connections_ended_total{reason="left"} 1');
  const { text } = await metrics.scrape();
  assert.deepEqual(text.match(/private/g), null, "names of clients are no labels");
});

Deno.test("Watch: answers for metrics and health, and says what it does not know", async () => {
  const metrics = new TasksMetrics();
  await using server = startTasks({ observer: metrics, maxConnections: 1 });
  metrics.watch(server);
  await using watch = new Watch({ hostname: "127.0.0.1", port: 0 }, server, metrics);
  const ask = async (path: string, method = "GET") => {
    const response = await fetch(`http://${watch.address}${path}`, { method });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  const is = async (path: string, status: number, text: string, method?: string) => {
    const answer = await ask(path, method);
    assert.deepEqual([answer.status, answer.text], [status, text], path);
  };
  await is("/healthz", 200, "alive\n");
  await is("/readyz", 200, "ready\n");
  const { status, text, headers } = await ask("/metrics");
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^solo_tasks_connections 0$/m);
  assert.match(text, /^process_resident_memory_bytes [1-9]/m);
  await is("/", 404, "no such path; there are /metrics, /healthz, /readyz\n");
  await is("/__proto__", 404, "no such path; there are /metrics, /healthz, /readyz\n");
  await is("/metrics", 405, "only GET and HEAD are known here\n", "POST");
  await is("/readyz", 200, "", "HEAD");
  {
    using peer = await Peer.connect(server.port);
    await peer.ask({ type: "stats" });
    await is("/readyz", 503, "full or stopping\n");
    await is("/healthz", 200, "alive\n");
    using surplus = await Peer.connect(server.port);
    assert.equal(await surplus.rest(), "");
    assert.match((await ask("/metrics")).text, /^solo_tasks_connections_refused_total 1$/m);
  }
  await until(async () => (await ask("/readyz")).status === 200, "there is room again");
  await server.close(1_000);
  await is("/readyz", 503, "full or stopping\n");
});

Deno.test("docs/operations.md: has every metric of tasks-server, and no other", async () => {
  const doc = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));
  const metrics = new TasksMetrics();
  await using server = startTasks();
  metrics.watch(server);
  const { text } = await metrics.scrape();
  const served = [...text.matchAll(/^# TYPE (solo_\S+)/gm)].map(([, name]) => name!);
  assert.ok(served.length > 10);
  const described = [...doc.matchAll(/^\| `(solo_tasks_[a-z_]+)/gm)].map(([, name]) => name!);
  assert.deepEqual(described.toSorted(), served.toSorted());
});
