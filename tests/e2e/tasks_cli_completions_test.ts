/** The scripts of `tasks-cli completions`, loaded by the shells they are for. */

import assert from "node:assert/strict";
import { runProgram } from "../support/program.ts";
import { type Shell, SHELLS } from "../../lib/tasks/cli/completions.ts";

const COMMANDS = ["cancel", "completions", "ls", "res", "run", "st", "stats", "wait"];
const TASKS = ["echo", "permutation", "revers", "too_long_echo"];
const FLAGS = ["--help", "--host", "--json", "--port", "--timeout", "--version"];

/** A line up to the cursor, and what the shell is to offer there. */
const LINES: [string, string[]][] = [
  ["tasks-cli ", COMMANDS],
  ["tasks-cli s", ["st", "stats"]],
  ["tasks-cli --host h r", ["res", "run"]],
  ["tasks-cli --host ", []],
  ["tasks-cli run ", TASKS],
  ["tasks-cli run re", ["revers"]],
  ["tasks-cli run --timeout 1 p", ["permutation"]],
  ["tasks-cli run revers ", []],
  ["tasks-cli run --", [...FLAGS, "--wait"]],
  ["tasks-cli st --", FLAGS],
  ["tasks-cli completions ", ["bash", "fish", "zsh"]],
];

/** How a shell is asked, without a terminal, what it offers for `$2` once it has loaded the script `$1`. */
const ASK: Partial<Record<Shell, string>> = {
  bash: `
    source "$1"
    [[ $(complete -p tasks-cli) == "complete -F _tasks_cli tasks-cli" ]] || exit 1
    read -ra COMP_WORDS <<< "$2"
    if [[ $2 == *" " ]]; then COMP_WORDS+=(""); fi
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    _tasks_cli
    printf "%s\\n" "\${COMPREPLY[@]}"`,
  fish: `
    source $argv[1]
    complete --do-complete $argv[2]`,
};

for (const shell of SHELLS) {
  const ignore = !await isInstalled(shell);
  Deno.test({
    name: `tasks-cli completions: ${shell} takes the script and offers what fits${
      ignore ? " (left out: it is not installed here)" : ""
    }`,
    ignore,
    async fn() {
      const { stdout, stderr, code } = await runProgram("tasks-cli", ["completions", shell]);
      assert.deepEqual({ stderr, code }, { stderr: "", code: 0 });
      const script = await Deno.makeTempFile();
      try {
        await Deno.writeTextFile(script, stdout);
        await run(shell, ["-n", script]);
        const ask = ASK[shell];
        if (ask === undefined) return; // zsh completes on a terminal only
        for (const [line, offered] of LINES) {
          const answer = await run(shell, ["-c", ask, ...(shell === "bash" ? ["bash"] : []), script, line]);
          const words = answer.split("\n").map((row) => row.split("\t")[0]!).filter((word) => word !== "");
          assert.deepEqual(words.sort(), offered.toSorted(), `${shell}: ${line}`);
        }
      } finally {
        await Deno.remove(script);
      }
    },
  });
}

async function run(shell: Shell, args: string[]): Promise<string> {
  const { stdout, stderr, code } = await new Deno.Command(shell, { args }).output();
  assert.deepEqual({ stderr: new TextDecoder().decode(stderr), code }, { stderr: "", code: 0 });
  return new TextDecoder().decode(stdout);
}

async function isInstalled(shell: Shell): Promise<boolean> {
  try {
    return (await new Deno.Command(shell, { args: ["-c", "exit 0"] }).output()).success;
  } catch {
    return false;
  }
}
