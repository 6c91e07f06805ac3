/** Hostile bytes against a tasks-server: a short run, and every input that was ever found to do harm or is known for it. */

import assert from "node:assert/strict";
import { fuzz, type FuzzReport } from "../fuzz/run.ts";
import { startServer } from "../support/program.ts";
import { useSeed } from "../support/seed.ts";
import { Peer } from "../support/tasks.ts";

Deno.test("fuzz: the server lives, stays small and serves good clients beside hostile ones", async () => {
  const isEnough = ({ inputs, replies }: FuzzReport) => inputs > 500 && replies > 200;
  const { failure } = await fuzz({ seed: useSeed("1"), isEnough, hostile: 32, good: 2 });
  assert.equal(failure, undefined);
});

Deno.test("fuzz: every input of the corpus, whole and in pieces, leaves the server and others alone", async (t) => {
  await using server = await startServer("tasks-server", ["--delay-factor", "0"]);
  using witness = await Peer.connect(server.port);
  const corpus = new URL("../fuzz/corpus/", import.meta.url);
  for (const { name } of Deno.readDirSync(corpus)) {
    await t.step(name, async () => {
      const bytes = await Deno.readFile(new URL(name, corpus));
      for (const size of [bytes.length, 1]) {
        using peer = await Peer.connect(server.port);
        for (let at = 0; at < bytes.length; at += size) {
          await peer.send(bytes.slice(at, at + size)).catch(() => {}); // the server may have had enough
        }
        await peer.conn.closeWrite().catch(() => {});
        await peer.rest();
        const { task_id } = await witness.ask({ type: "run", task_name: "revers", data: name }) as {
          task_id: number;
        };
        assert.deepEqual(await witness.ask({ type: "get_result", task_id, wait: true }), {
          status: "success",
          data: [...name].reverse().join(""),
        });
      }
    });
  }
});
