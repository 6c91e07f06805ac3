/** What is true of the executables alone; everything else here runs with them too, see `SOLO_EXECUTABLES`. */

import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { commandOf, type ProgramName } from "../support/program.ts";

/** What each program imports, of the packages in deno.json. */
const IMPORTS: Record<ProgramName, string[]> = {
  "ws-server": ["@logtape/logtape", "@redis/client", "commander", "prom-client"],
  "tasks-server": ["@logtape/logtape", "commander", "zod"],
  "tasks-cli": ["commander", "yocto-spinner", "zod"],
};

const ignore = !Deno.env.get("SOLO_EXECUTABLES");

Deno.test({
  name: "executables: start from any folder, with no sources and no environment but PATH",
  ignore,
  fn: async () => {
    for (const name of Object.keys(IMPORTS) as ProgramName[]) {
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
  name: "executables: each carries the packages that it imports, and no others",
  ignore,
  fn: async () => {
    for (const [name, imported] of Object.entries(IMPORTS)) {
      const bytes = await Deno.readFile(commandOf(name as ProgramName)[0]!);
      // The program stands at the end; the bundler has left a comment with the file that each part of it comes from.
      const program = new TextDecoder().decode(bytes.subarray(-4 * 1024 * 1024));
      const carried = Object.keys(config.imports).filter((package_) =>
        new RegExp(`/${package_}/\\d`).test(program)
      );
      assert.deepEqual(carried, imported, name);
    }
  },
});
