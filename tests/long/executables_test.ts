/** What is true of the executables alone; everything else here runs with them too, see `SOLO_PROGRAMS`. */

import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { commandOf, type ProgramName, PROGRAMS } from "../support/program.ts";

/** Packages of deno.json that each program has nothing to do with. */
const FOREIGN: Record<ProgramName, string[]> = {
  "ws-server": ["axe-core", "fast-check", "playwright-core", "yocto-spinner", "zod"],
  "tasks-server": ["@redis/client", "fast-check", "jose", "yocto-spinner"],
  "tasks-cli": ["@redis/client", "fast-check", "prom-client"],
};

const ignore = PROGRAMS !== "executables";

Deno.test({
  name: "executables: start from any folder, with no sources and no environment but PATH",
  ignore,
  fn: async () => {
    for (const name of Object.keys(FOREIGN) as ProgramName[]) {
      const run = async (flag: string) => {
        const { code, stdout } = await new Deno.Command(commandOf(name)[0]!, {
          args: [flag],
          cwd: "/",
          clearEnv: true,
          env: { PATH: "/usr/bin" },
        }).output();
        assert.equal(code, 0, `${name} ${flag}`);
        return new TextDecoder().decode(stdout);
      };
      assert.equal(await run("--version"), `${config.version}\n`);
      assert.match(await run("--help"), new RegExp(`^Usage: ${name} `));
    }
  },
});

Deno.test({
  name: "executables: none carries the packages of another",
  ignore,
  fn: async () => {
    for (const [name, foreign] of Object.entries(FOREIGN)) {
      const bytes = await Deno.readFile(commandOf(name as ProgramName)[0]!);
      // The program stands at the end; the bundler has left a comment with the file that each part of it comes from.
      const program = new TextDecoder().decode(bytes.subarray(-4 * 1024 * 1024));
      const carries = (package_: string) => new RegExp(`/${package_}/\\d`).test(program);
      assert.ok(carries("commander"), name); // they all do: this is how to find one
      assert.deepEqual(foreign.filter(carries), [], name);
    }
  },
});
