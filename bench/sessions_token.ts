/** What it costs to ask who a client is: a connection with a token beside one without, on the same server program. */

import { startServer } from "../tests/support/program.ts";
import { inSeconds, KeyServer, keySetOf, signer, signWithSecret } from "../tests/support/tokens.ts";
import { TRANSPORTS } from "./sessions_contenders.ts";
import type { LoadRequest } from "./sessions_load.ts";
import { cpuMs } from "./support/process_usage.ts";
import { printAim, printHeading, printTable, times } from "./support/report.ts";
import { median } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker_process.ts";

const ROUNDS = 5;
const CONNECTIONS = 2000;
const IN_FLIGHT = 64;
const SECRET = "0123456789abcdef0123456789abcdef";

/** How much of a connection without a token one with a token may cost. */
const AIM = 1.3;

/** Tokens of `token-0` to `token-<count - 1>`, each a new one. */
type MakeTokens = () => Promise<string[]>;

interface Series {
  name: string;
  /** CPU of the server for a connection to its session_id, a round each. */
  us: number[];
}

export async function benchToken(): Promise<void> {
  printHeading(
    `Tokens: ${CONNECTIONS} connections in a round, ${IN_FLIGHT} at a time, ${ROUNDS} rounds in turn; CPU of the server`,
  );
  await using cleanUp = new AsyncDisposableStack();
  const ed = await signer("EdDSA", "ed");
  const keys = cleanUp.use(new KeyServer(() => Response.json(keySetOf(ed))));
  const load = cleanUp.use(new WorkerProcess(new URL("sessions_load.ts", import.meta.url)));
  const kinds: [name: string, args: string[], env: Record<string, string>, make: MakeTokens | undefined][] = [
    ["no token", [], {}, undefined],
    ["HS256", [], { SOLO_AUTH_SECRET: SECRET }, () => tokens((claims) => signWithSecret(SECRET, claims))],
    ["EdDSA", ["--auth-jwks", keys.url], {}, () => tokens((claims) => ed.sign(claims))],
  ];
  for (const transport of TRANSPORTS) {
    const first: (() => Promise<void>)[] = [];
    const second: (() => Promise<void>)[] = [];
    const series: Series[] = [];
    const note = (name: string) => {
      const one: Series = { name, us: [] };
      series.push(one);
      return one.us;
    };
    for (const [name, args, env, make] of kinds) {
      const flags = ["--redis", "off", "--transport", transport, ...args];
      const { program, port } = cleanUp.use(await startServer("ws-server", flags, { env }));
      const run = (tokens?: string[]) => measure(load, program.pid, port, tokens);
      if (!make) {
        const us = note(name);
        first.push(async () => void us.push(await run()));
        continue;
      }
      const [fresh, seen] = [note(`${name}, never seen`), note(`${name}, seen before`)];
      let made: string[] = [];
      first.push(async () => void fresh.push(await run(made = await make())));
      second.push(async () => void seen.push(await run(made)));
    }
    for (let round = 0; round <= ROUNDS; round++) {
      // never one server twice in a row: what it has put off after the first would count for the second
      for (const run of [...first, ...second]) await run();
    }
    for (const { us } of series) us.shift(); // the first round warms up
    report(transport, series);
  }
}

async function tokens(sign: (claims: { sub: string; exp: number }) => Promise<string>): Promise<string[]> {
  const exp = inSeconds(3600 + Math.floor(Math.random() * 1e6)); // never the same twice
  return await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => sign({ sub: `token-${i}`, exp })));
}

async function measure(load: WorkerProcess, pid: number, port: number, tokens?: string[]): Promise<number> {
  const before = cpuMs(pid);
  const request: LoadRequest = { kind: "open", port, count: CONNECTIONS, inFlight: IN_FLIGHT, tokens };
  await load.ask<number>(request);
  const us = (cpuMs(pid) - before) / CONNECTIONS * 1000;
  await load.ask({ kind: "close" } satisfies LoadRequest);
  return us;
}

function report(transport: string, series: Series[]): void {
  const [without, ...others] = series as [Series, ...Series[]];
  const ratio = ({ us }: Series) => median(us.map((value, i) => value / without.us[i]!));
  printTable(
    [`--transport ${transport}`, "CPU to session_id", "of no token"],
    series.map((one) => [one.name, `${median(one.us).toFixed(0)} µs`, times(ratio(one))]),
  );
  console.log();
  for (const one of others) {
    printAim(`${transport}: ${one.name}: at most ${AIM}× no token: ${times(ratio(one))}`, ratio(one) <= AIM);
  }
  console.log();
}
