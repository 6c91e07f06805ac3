/** The memory that the shipped unit gives tasks-server is enough, whatever clients make it hold. */

import assert from "node:assert/strict";
import { Crowd } from "../support/crowd.ts";
import { peakMiB } from "../support/process.ts";
import { startServer } from "../support/program.ts";
import { Peer } from "../support/tasks.ts";

const CROWD = 1500;
const MIB = 1024 * 1024;

/** 1.5 GB in reads of 1 KiB, and an older base runtime takes crowds slowly: its backlog is small. */
const TIMEOUT_MS = 900_000;

/** Bytes on the wire of a request that brings a text of nearly a MiB. */
const large = (taskName: string) =>
  `{"type":"run","task_name":"${taskName}","data":"${"ы".repeat(MIB / 2 - 100)}"}\n`;

/** What each of a crowd sends, and never reads a reply. Task 1 has a result of a MiB, task 2 waits out its duration. */
const CROWDS: Record<string, string> = {
  "nothing": "",
  "a thousand requests behind a reply that waits": '{"type":"status","task_id":2,"wait":true}\n' +
    '{"type":"stats"}\n'.repeat(1000),
  "a thousand requests that wait": '{"type":"get_result","task_id":2,"wait":true}\n'.repeat(1000),
  "half a request of a MiB": large("echo").slice(0, MIB / 2),
  "requests for a result of a MiB": '{"type":"get_result","task_id":1}\n'.repeat(100),
  "requests for the list": '{"type":"list"}\n'.repeat(1000),
  "a task with a text of a MiB": large("too_long_echo"),
  "a task with a name of a MiB": `{"type":"run","task_name":"${"x".repeat(MIB - 100)}","data":""}\n`,
  "a hundred small tasks": '{"type":"run","task_name":"too_long_echo","data":"x"}\n'.repeat(100),
};

const NAME =
  `tasks-server: ${CROWD} hostile clients of each kind stay within MemoryMax, and a good one works`;

Deno.test({ name: NAME, timeout: TIMEOUT_MS }, async (t) => {
  const unit = await Deno.readTextFile(new URL("../../docs/systemd/tasks-server.service", import.meta.url));
  const maxMiB = 1024 * Number(unit.match(/^MemoryMax=(\d+)G$/m)![1]);
  await using server = await startServer("tasks-server", ["--delay-factor", "1000"]); // so that task 2 lasts
  const { pid } = server.program;
  using good = await Peer.connect(server.port);
  await good.send(large("echo"));
  await good.reply();
  await good.ask({ type: "run", task_name: "too_long_echo", data: "" });
  // every text that may be kept is there: tasks that wait, and results
  for (let id = 3; id < 60; id++) await good.send(large("too_long_echo"));
  for (let id = 3; id < 60; id++) await good.reply();

  for (const [what, words] of Object.entries(CROWDS)) {
    await t.step(what, async () => {
      let rounds = 0;
      let isThere = false;
      const crowd = Crowd.connect(server.port, CROWD, () => words).finally(() => isThere = true);
      for (; !isThere || rounds < 50; rounds++) {
        const { waiting } = await good.ask({ type: "stats" }) as { waiting: number };
        assert.ok(waiting > 0, "no task is lost");
        const { status } = await good.ask({ type: "status", task_id: 2, wait: false }) as { status: string };
        assert.equal(status, "execute");
      }
      (await crowd)[Symbol.dispose]();
      const peak = await peakMiB(pid);
      assert.ok(peak < maxMiB, `${peak} MiB`);
    });
  }
});
