/**
 * Loaded before every test file (`deno test --preload`): no test runs for ever, and the report of one that fails ends
 * with what the programs that it started have said.
 */

import { AssertionError } from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { usedSeeds } from "./seed.ts";
import { Subprocess } from "./subprocess.ts";

/** How long a test may take that does not say otherwise by its `timeout`, ms: far more than any takes on a busy machine. */
const TIMEOUT_MS = 900_000;

/** How long a test has to end by itself once its programs are dead, ms. */
const GRACE_MS = 10_000;

/** How many of the last lines of each program are shown. */
const SHOWN_LINES = 30;

const register = Deno.test;
const started: Subprocess[] = [];
Subprocess.onStart = (subprocess) => started.push(subprocess);

(Deno as { test: unknown }).test = Object.assign((...args: unknown[]) => {
  const [, , caller = ""] = new Error().stack!.split("\n");
  register(guarded(definitionOf(args), caller.trim()));
}, register);

/** From any form of the arguments of `Deno.test`. */
function definitionOf(args: unknown[]): Deno.TestDefinition {
  const parts = args.map((arg) => {
    if (typeof arg === "string") return { name: arg };
    return typeof arg === "function" ? { name: arg.name, fn: arg } : arg;
  });
  return Object.assign({}, ...parts.reverse()); // a name that is given comes before that of the function
}

/** The same test, with a deadline and a better report. */
function guarded({ fn, timeout = TIMEOUT_MS, ...definition }: Deno.TestDefinition, caller: string) {
  return {
    ...definition,
    timeout: timeout + 2 * GRACE_MS, // the platform's own: it ends busy loops too, and tells nothing
    fn: async (t: Deno.TestContext) => {
      started.length = 0;
      usedSeeds.length = 0;
      const run = (async () => await fn(withSteps(t)))();
      try {
        await withDeadline(run, timeout, "the test did not end");
      } catch (error) {
        // Deno takes this file for the place of the test
        explain(error, `\n\nthe test begins ${caller}`);
        for (const subprocess of started) subprocess.kill("SIGKILL");
        await withDeadline(run, GRACE_MS, "").catch(() => {}); // what it waited for is dead now
        throw error;
      }
    },
  };
}

/** The same context, with a better report of steps that fail: the platform keeps their errors to itself. */
function withSteps(t: Deno.TestContext): Deno.TestContext {
  const step = (...args: unknown[]) => {
    const { fn, ...definition } = definitionOf(args) as unknown as Deno.TestStepDefinition;
    return t.step({
      ...definition,
      fn: async (inner) => {
        try {
          await fn(withSteps(inner));
        } catch (error) {
          explain(error, "");
          throw error;
        }
      },
    });
  };
  return Object.create(t, { step: { value: step } });
}

/** Lets an error say what was expected and seen, the seed, and what the programs have said. */
function explain(error: unknown, place: string): void {
  if (error instanceof Error) {
    error.message = seedsUsed() + error.message + comparisonOf(error) + place + programsSaid();
  }
}

/** What a match leaves out where it was given words of its own. */
function comparisonOf(error: Error): string {
  const isMatch = error instanceof AssertionError && /match/i.test(error.operator) && !error.generatedMessage;
  return isMatch ? `\nexpected: ${error.operator} ${error.expected}\nseen: ${error.actual}` : "";
}

function seedsUsed(): string {
  return usedSeeds.length > 0 ? `seed ${usedSeeds.join(", ")}: ` : "";
}

function programsSaid(): string {
  return started.filter(({ text }) => text.stderr || text.stdout).map(({ name, pid, text }) => {
    const lines = (text.stderr + text.stdout).trimEnd().split("\n");
    const shown = lines.slice(-SHOWN_LINES);
    const left = lines.length - shown.length;
    return `\n\n${name} (${pid}) said${left ? `, after ${left} lines` : ""}:\n${
      shown.map((line) => `  ${line}`).join("\n")
    }`;
  }).join("");
}
