/**
 * `deno task test` and `deno task test:long`: runs the tests, files side by side, and closes with a line that counts them.
 *
 * deno run -P=tests tools/test.ts quick long --repeat 5
 */

import { Argument } from "commander";
import { ProgramError } from "../lib/service/errors.ts";
import { createProgram, flag, integer } from "../lib/service/flags.ts";
import { runProgram } from "./run_program.ts";
import { EXIT_NO_BASE_RUNTIME } from "./compile.ts";
import { Disturbance } from "./disturb.ts";
import { type Result, resultOf } from "./test_output.ts";

/** Test files that are run side by side, and what the programs are that they start: see tests/support/program.ts. */
interface Run {
  what: string;
  files: string[];
  programs: "sources" | "bundles" | "executables";
  /** How many are run side by side. More than one: tests wait more than they compute, but for the crowds among the long ones. */
  filesPerCore: number;
}

/** The files that take longest, the longest first: started before the others, none of them is left alone at the end. */
const LONGEST = [
  "tests/e2e/page_test.ts",
  "tests/e2e/balancer_test.ts",
  "tests/e2e/ws_operations_cluster_test.ts",
  "tests/e2e/ws_failures_test.ts",
  "tests/e2e/tasks_cli_test.ts",
  "tests/e2e/access_tokens_test.ts",
  "tests/e2e/client_connect_test.ts",
  "tests/e2e/access_test.ts",
  "tests/long/client_platforms_test.ts",
  "tests/integration/redis_registry_test.ts",
  "tests/e2e/ws_command_line_test.ts",
  "tests/e2e/ws_events_test.ts",
  "tests/simulation/simulation_test.ts",
  "tests/e2e/ws_limits_test.ts",
  "tests/contract/registry_test.ts",
  "tests/contract/transport_limits_test.ts",
  "tests/simulation/mutants_test.ts",
  "tests/contract/transport_close_test.ts",
  "tests/contract/registry_operations_test.ts",
  "tests/e2e/access_browser_test.ts",
  "tests/integration/redis_events_test.ts",
  "tests/long/redis_tls_test.ts",
  "tests/long/redis_failover_test.ts",
  "tests/long/chaos_test.ts",
];

/**
 * What is tried with executables. Where they are made by an older Deno (DENO_COMPILE) its runtime can neither cut a peer that
 * does not answer nor refuse an upgrade with node:http, and so keeps few of ws-server's promises: the bundles inside them are
 * tried with all end-to-end tests instead.
 */
const EXECUTABLES = [
  "tests/long/container_test.ts",
  "tests/long/executables_test.ts",
  "tests/e2e/tasks_cli_test.ts",
  "tests/e2e/tasks_server_test.ts",
];

/** `quick` is what a change is tried with again and again; `long` is what takes its time by nature. */
const SUITES: Record<string, () => Run[]> = {
  quick: () => [
    {
      what: "all but the long ones",
      files: filesIn(foldersBut("long")),
      programs: "sources",
      filesPerCore: 6,
    },
  ],
  long: () => [
    { what: "the long ones", files: filesIn(["long"]), programs: "sources", filesPerCore: 1 },
    { what: "end to end", files: filesIn(["e2e"]), programs: "bundles", filesPerCore: 4 },
    { what: "what can be tried anywhere", files: EXECUTABLES, programs: "executables", filesPerCore: 2 },
  ],
};

interface Flags {
  repeat: number;
  busy: number;
  stall: number;
  filter?: string;
}

const program = createProgram("test", "Runs the tests and counts them.")
  .addArgument(new Argument("<suites...>", "which of them").choices(Object.keys(SUITES)))
  .addOption(flag("--repeat <times>", "run them so often", { parse: integer({ min: 1 }), default: 1 }))
  .addOption(
    flag("--busy <loops>", "run so many endless loops for each core beside them", {
      parse: integer({ min: 0 }),
      default: 0,
    }),
  )
  .addOption(
    flag("--stall <ms>", "let their processes stand still at random, for so long at most", {
      parse: integer({ min: 0 }),
      default: 0,
    }),
  )
  .addOption(flag("--filter <text>", "only those with this in their name"))
  .action((suites: string[]) => main(suites, program.opts<Flags>()));

async function main(suites: string[], { repeat, busy, stall, filter }: Flags): Promise<void> {
  Deno.chdir(new URL("..", import.meta.url));
  const runs = suites.flatMap((suite) => SUITES[suite]!());
  const canCompile = runs.every(({ programs }) => programs === "sources") || compile();
  const total = { passed: 0, failed: 0 };
  const reports: string[] = [];
  const disturbance = new Disturbance({ loops: busy * navigator.hardwareConcurrency, stallMs: stall });
  for (let round = 1; round <= repeat; round++) {
    for (const run of runs) {
      if (run.programs === "executables" && !canCompile) {
        console.log("\nthe executables are left out: their base runtime cannot be downloaded here");
        continue;
      }
      const title = `${run.what}, programs: ${run.programs}${repeat > 1 ? `, round ${round}` : ""}`;
      console.log(`\n${title}`);
      const { passed, failed, report } = await test(run, filter);
      total.passed += passed;
      total.failed += failed;
      if (failed > 0) reports.push(`failed among ${title}:\n\n${report}`);
    }
  }
  await disturbance[Symbol.asyncDispose]();
  if (total.passed + total.failed === 0) throw new ProgramError(`no test has "${filter}" in its name`);
  for (const report of reports) console.log(`\n${report}`); // what comes after a failure must not push it out of sight
  if (stall > 0) console.log(`\nprocesses stood still ${disturbance.stalls} times`);
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  Deno.exit(total.failed > 0 ? 1 : 0);
}

/** The folders of tests, but for one of them. */
function foldersBut(left: string): string[] {
  return [...Deno.readDirSync("tests")].filter(({ isDirectory }) => isDirectory).map(({ name }) => name)
    .filter((name) => name !== left);
}

/** The test files in some folders of `tests/`, in the order in which they are to be started. */
function filesIn(folders: string[]): string[] {
  const files = folders.flatMap((folder) =>
    [...Deno.readDirSync(`tests/${folder}`)].map(({ name }) => `tests/${folder}/${name}`)
  ).filter((path) => path.endsWith("_test.ts")).sort();
  const rank = (path: string) => LONGEST.includes(path) ? LONGEST.indexOf(path) : LONGEST.length;
  return files.sort((a, b) => rank(a) - rank(b));
}

/** Makes the bundles, and the executables where there is a base runtime; returns whether there is. */
function compile(): boolean {
  const args = ["run", "-q", "-P=tools", "tools/compile.ts"];
  const { code } = new Deno.Command(Deno.execPath(), { args, stdout: "null" }).outputSync();
  if (code !== 0 && code !== EXIT_NO_BASE_RUNTIME) {
    throw new ProgramError("cannot make the executables; why stands above");
  }
  return code === 0;
}

/** Runs `deno test` and shows what it prints. */
async function test({ files, programs, filesPerCore }: Run, filter: string | undefined): Promise<Result> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["test", "-q", "-P=tests", "--no-check", "--parallel", "--preload=tests/support/harness.ts"],
      ...(filter === undefined ? [] : ["--filter", filter]),
      ...files,
    ],
    env: {
      DENO_JOBS: String(filesPerCore * navigator.hardwareConcurrency),
      ...Deno.env.toObject(),
      SOLO_PROGRAMS: programs,
    },
    stdout: "piped",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
    output += text;
  }
  const { success } = await child.status;
  return resultOf(output, success);
}

await runProgram(program);
