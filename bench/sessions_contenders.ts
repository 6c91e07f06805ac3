/** Who is compared: the floor, this project with either store, and peers that do the same job. */

import { startServer } from "../tests/support/program.ts";
import { type ServerProcess, startProcess } from "./support/server_process.ts";

/** What the peer in Node is built of. */
const NODE_PACKAGES = ["ws@8.23.0", "@redis/client@6.3.1"];

const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const FOLDER = new URL(".", import.meta.url).pathname;

export interface Contender {
  name: string;
  start(): Promise<ServerProcess>;
}

/** As the platform comes: without this project's configuration. */
export const bare: Contender = {
  name: "bare Deno upgrade",
  start: () =>
    startProcess([Deno.execPath(), "run", "-q", "--allow-net", "--no-config", pathOf("sessions_bare.ts")]),
};

/** The same with the one setting that the project runs with, see `unstable` in deno.json. */
export const bareTuned: Contender = {
  name: "  with our deno.json",
  start: () =>
    startProcess([
      Deno.execPath(),
      "run",
      "-q",
      "--allow-net",
      "--config",
      CONFIG,
      pathOf("sessions_bare.ts"),
    ]),
};

/** What `--transport` takes, see docs/operations.md. */
export const TRANSPORTS = ["deno", "node"] as const;

export type Transport = typeof TRANSPORTS[number];

export function withMemory(transport: Transport): Contender {
  return {
    name: `ws-server, ${transport}, memory`,
    start: () => wsServer("--transport", transport, "--redis", "off"),
  };
}

/** @param args More flags. */
export function withRedis(transport: Transport, url: string, ...args: string[]): Contender {
  return {
    name: `ws-server, ${transport}, Redis`,
    start: () => wsServer("--transport", transport, "--redis", url, ...args),
  };
}

async function wsServer(...args: string[]): Promise<ServerProcess> {
  const { program, port } = await startServer("ws-server", args);
  return { pid: program.pid, port, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/**
 * The peers that this machine can run; says in one line each which it cannot.
 *
 * @param folder Where the packages of the one in Node may be installed; the caller removes it.
 */
export async function peers(url: string, folder: string): Promise<Contender[]> {
  const found: Contender[] = [];
  if (await succeeds(["npm", "install", "--silent", "--no-save", "--prefix", folder, ...NODE_PACKAGES])) {
    const env = { NODE_PATH: `${folder}/node_modules` };
    found.push({
      name: "Node, ws + Redis",
      start: () => startProcess(["node", pathOf("sessions_peer_node.mjs"), url, "peer-node", FOLDER], env),
    });
  } else {console.log(
      `  left out: the peer in Node; it needs node and npm install ${NODE_PACKAGES.join(" ")}`,
    );}

  const pythons = ["/usr/bin/python3", "python3"];
  const uses = await Promise.all(
    pythons.map((python) => succeeds([python, "-c", "import aiohttp, redis.asyncio"])),
  );
  const python = pythons[uses.indexOf(true)];
  if (python) {
    found.push({
      name: "Python, aiohttp + Redis",
      start: () => startProcess([python, pathOf("sessions_peer_python.py"), url, "peer-python", FOLDER]),
    });
  } else {console.log(
      "  left out: the peer in Python; on Debian: apt-get install python3-aiohttp python3-redis",
    );}
  return found;
}

async function succeeds([program, ...args]: string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program!, { args, stdin: "null", stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch {
    return false; // no such program
  }
}

function pathOf(file: string): string {
  return new URL(file, import.meta.url).pathname;
}
