import type { Command } from "commander";
import { exitOf } from "../lib/service/flags.ts";

/** Runs a tool by the command line that it was started with, and ends the process: with 0, or with what its error stands for. */
export async function runProgram(program: Command): Promise<never> {
  try {
    await program.parseAsync(Deno.args, { from: "user" });
    Deno.exit(0);
  } catch (error) {
    const { code, line } = exitOf(error);
    if (line !== undefined) console.error(line);
    Deno.exit(code);
  }
}
