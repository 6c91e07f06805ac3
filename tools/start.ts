/** `deno task start`: both services in the foreground, and what to type next. */

import { launch } from "./launch.ts";

const run = (set: string, entry: string, ...args: string[]) => [
  Deno.execPath(),
  ...["run", "-q", "--no-prompt", `-P=${set}`, entry, ...args],
];

Deno.exit(
  await launch([
    { name: "ws-server", command: run("ws-server", "main_ws.ts"), ready: /listening on/ },
    { name: "tasks-server", command: run("tasks-server", "main_tasks.ts"), ready: /listening on/ },
  ], () => {
    console.log(`
Ready. In a second terminal (without Deno installed, put "npx -y deno@2.9.6" in the place of "deno"):

  deno task cli run revers hello --wait                      runs a task and waits for its result
  deno task cli ls                                           lists the tasks
  npx -y wscat -c "ws://localhost:8880/?client_id=test1"     connects; do it twice: the first is replaced
  curl http://localhost:8880/sessions                        who is connected

Ctrl-C stops everything.
`);
  }),
);
