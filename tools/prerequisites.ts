/**
 * Sees that the system programs named as arguments are there, and installs those that are missing where it may
 * (Debian or Ubuntu, as root). Elsewhere it says in one line what to install. `node22` comes from the npm registry.
 *
 * deno run -P=tools tools/prerequisites.ts redis-server caddy node22
 */

import { node22 } from "./node22.ts";

/** Which package brings a program, by the name it has for apt-get and for brew. */
const PACKAGES: Record<string, { apt: string; brew: string }> = {
  "redis-server": { apt: "redis-server", brew: "redis" },
  caddy: { apt: "caddy", brew: "caddy" },
  chromium: { apt: "chromium", brew: "chromium" },
  tcpdump: { apt: "tcpdump", brew: "tcpdump" },
  ip: { apt: "iproute2", brew: "iproute2mac" },
};

const unknown = Deno.args.find((program) => program !== "node22" && !Object.hasOwn(PACKAGES, program));
if (unknown !== undefined) {
  console.error(
    `ERROR: no package is known for ${unknown}; there are ${Object.keys(PACKAGES).join(", ")}, node22`,
  );
  Deno.exit(2);
}
if (Deno.args.includes("node22")) node22();
const missing = Deno.args.filter((program) => program !== "node22" && !isInstalled(program));
if (missing.length > 0) {
  const packages = missing.map((program) => PACKAGES[program]!.apt);
  if (!isInstalled("apt-get") || Deno.uid() !== 0) {
    console.error(
      `ERROR: ${missing.join(", ")} not found; install it first. On Debian or Ubuntu: sudo apt-get install ${
        packages.join(" ")
      }; on macOS: brew install ${missing.map((program) => PACKAGES[program]!.brew).join(" ")}`,
    );
    Deno.exit(1);
  }
  console.error(`installing ${packages.join(" ")} …`);
  apt("update");
  apt("install", "--yes", "--no-install-recommends", ...packages);
}

function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

function apt(...args: string[]): void {
  // RUNLEVEL=1 keeps Debian from starting the packages' own services: everything here starts its own.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const { success, stdout, stderr } = new Deno.Command("apt-get", { args: ["-q", ...args], env })
    .outputSync();
  if (success) return;
  console.error(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  console.error(`ERROR: apt-get ${args.join(" ")} failed; its words stand above`);
  Deno.exit(1);
}
