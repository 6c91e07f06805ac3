/** `deno task start`: both services in the foreground, and what to type next. */

import { createProgram } from "../lib/service/flags.ts";
import { fromSources, launch, type Part } from "./launch.ts";
import { runProgram } from "./run_program.ts";

const PARTS: Part[] = [
  { name: "ws-server", command: fromSources("ws-server", "main_ws.ts"), ready: /listening on/ },
  { name: "tasks-server", command: fromSources("tasks-server", "main_tasks.ts"), ready: /listening on/ },
];

const ADVICE = `
Ready. In a second terminal (without Deno installed, put "npx -y deno@2.9.6" in the place of "deno"):

  deno task cli run revers hello --wait                      runs a task and waits for its result
  deno task cli ls                                           lists the tasks
  deno task connect --client-id=test1                        connects; do it twice: the first is replaced
  curl http://localhost:8880/sessions                        who is connected

In a browser, http://localhost:8880/ shows the sessions live and opens connections to try it.

Ctrl-C stops everything.
`;

const program = createProgram("start", "Starts both services in the foreground, until Ctrl-C.")
  .action(async () => Deno.exit(await launch(PARTS, () => console.log(ADVICE))));

await runProgram(program);
