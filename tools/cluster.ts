/** `deno task cluster`: the whole of Solo on this machine, three ws-servers behind one address. */

import { createProgram, exitOf, flag, port } from "../lib/service/flags.ts";
import { freePort } from "../tests/support/ports.ts";
import { fromSources, launch, type Part } from "./launch.ts";

interface Flags {
  port: number;
  wsPort: number;
  tasksPort: number;
  redisPort?: number;
}

function readFlags(args: string[]): Flags {
  return createProgram("cluster", "Redis, three ws-servers, a load balancer and tasks-server, until Ctrl-C.")
    .addOption(flag("--port <port>", "where the balancer listens", { parse: port, default: 8080 }))
    .addOption(
      flag("--ws-port <port>", "the first ws-server; the next two follow", { parse: port, default: 8880 }),
    )
    .addOption(flag("--tasks-port <port>", "where tasks-server listens", { parse: port, default: 4321 }))
    .addOption(flag("--redis-port <port>", "where Redis listens (default: a free port)", { parse: port }))
    .parse(args, { from: "user" }).opts();
}

function partsOf({ port, wsPort, tasksPort, redisPort = freePort() }: Flags): Part[] {
  const wsPorts = [wsPort, wsPort + 1, wsPort + 2];
  const local = ["--host", "127.0.0.1"];
  return [
    {
      name: "redis",
      command: [
        "redis-server",
        ...["--bind", "127.0.0.1", "--port", `${redisPort}`, "--save", "", "--appendonly", "no"],
      ],
      ready: /Ready to accept connections/,
      show: /Warning:|Failed|rror/,
    },
    ...wsPorts.map((wsPort, i) => ({
      name: `ws-server-${i + 1}`,
      command: fromSources(
        "ws-server",
        "main_ws.ts",
        ...local,
        ...["--port", `${wsPort}`, "--redis", `redis://127.0.0.1:${redisPort}`],
        ...["--lease", "3"], // on a new Redis nobody takes sessions for so long
      ),
      ready: /takes sessions/,
    })),
    {
      name: "balancer",
      command: ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
      env: {
        SOLO_SITE: `:${port}`,
        SOLO_BIND: "127.0.0.1",
        SOLO_UPSTREAMS: wsPorts.map((wsPort) => `127.0.0.1:${wsPort}`).join(" "),
      },
      ready: /serving initial configuration/,
      show: /^Error|"status":5/,
    },
    {
      name: "tasks-server",
      command: fromSources("tasks-server", "main_tasks.ts", ...local, "--port", `${tasksPort}`),
      ready: /listening on/,
    },
  ];
}

function adviceOn({ port, tasksPort }: Flags): string {
  const cli = `deno task cli${tasksPort === 4321 ? "" : ` --port ${tasksPort}`}`;
  const address = `localhost:${port}`;
  return `
Ready: three ws-servers act as one on http://${address}. In a second terminal (without Deno installed, put
"npx -y deno@2.9.6" in the place of "deno"):

  deno task connect --endpoint=http://${address} --client-id=test1   connects; do it twice: the first is replaced
  curl http://${address}/sessions                       who is connected (and to which of the three, with
                                                            -H "Accept: application/json")
  ${cli} run revers hello --wait                 runs a task and waits for its result

Ctrl-C stops everything.
`;
}

try {
  const flags = readFlags(Deno.args);
  Deno.exit(await launch(partsOf(flags), () => console.log(adviceOn(flags))));
} catch (error) {
  const { code, line } = exitOf(error);
  if (line !== undefined) console.error(line);
  Deno.exit(code);
}
