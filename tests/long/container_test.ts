/** The images, as far as that goes without a container engine. */

import assert from "node:assert/strict";
import { withDeadline } from "../../lib/service/clock.ts";
import { addLibraries, build, Container, type Image, librariesOf } from "../support/container.ts";
import { sessionsOf } from "../support/cluster.ts";
import { PROGRAMS } from "../support/program.ts";
import { freePort } from "../support/ports.ts";
import { PATIENCE_MS, until } from "../support/wait.ts";
import { WsClient } from "../support/ws_client.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");

/** The C libraries of distroless/cc-debian12, by the names that a program asks for. */
const LIBRARIES_OF_BASE =
  /\/(ld-linux-[\w-]+\.so\.\d|lib(c|m)\.so\.6|lib(dl|rt)\.so\.[12]|libpthread\.so\.0|libgcc_s\.so\.1)$/;

const canBuild = PROGRAMS === "executables" && Deno.uid() === 0;

Deno.test({
  name: `container: every step of the Dockerfile works, and so does every image${
    canBuild ? "" : " (only as root, and where executables are tried)"
  }`,
  ignore: !canBuild,
  fn: async (t) => {
    const work = Deno.makeTempDirSync({ prefix: "solo-container-" });
    try {
      const images = build(REPOSITORY, work);
      assert.equal(
        images.get("build")!.base,
        `denoland/deno:${Deno.version.deno}`,
        "the same Deno everywhere",
      );
      for (const [name, image] of images) {
        if (name !== "build") await t.step(name, () => testImage(name, image));
      }
    } finally {
      Deno.removeSync(work, { recursive: true });
    }
  },
});

async function testImage(name: string, image: Image): Promise<void> {
  const program = `${image.root}/usr/local/bin/${image.entrypoint[0]}`;
  const libraries = librariesOf(program);
  assert.ok(libraries.length > 0);
  assert.deepEqual(libraries.filter((path) => !LIBRARIES_OF_BASE.test(path)), [], "the base has them all");
  addLibraries(image, libraries);

  const { code, stdout } = await new Container(image, [...image.entrypoint, "--version"]).output;
  assert.equal(code, 0);
  assert.match(new TextDecoder().decode(stdout), /^\d+\.\d+\.\d+\n$/);
  if (name === "tasks-cli") return; // no server
  await testServer(image, name === "ws-server" ? takesOver : runsTask);
}

/** Starts it, asks for its health the way the engine does, has it do what it is for, stops it. */
async function testServer(
  image: Image,
  serves: (port: number, image: Image) => Promise<void>,
): Promise<void> {
  const port = String(freePort());
  const where = ["--host", "127.0.0.1", "--port", port];
  const env = { SOLO_REDIS: "off", SOLO_PORT: port, TASKS_PORT: port };
  const isHealthy = async () => (await new Container(image, image.healthcheck, env).output).success;
  assert.equal(await isHealthy(), false);
  await using server = new Container(image, [...image.entrypoint, ...where], env);
  await until(isHealthy, "the server is healthy");
  await serves(Number(port), image);
  server.kill("SIGTERM");
  const { stderr, code } = await withDeadline(
    server.output,
    PATIENCE_MS,
    "the server did not end on SIGTERM",
  );
  assert.match(new TextDecoder().decode(stderr), /SIGTERM: .*stopped/s);
  assert.equal(code, 0);
}

async function takesOver(port: number): Promise<void> {
  await using older = await WsClient.establish(port, "kim");
  await using newer = await WsClient.establish(port, "kim");
  assert.equal((await older.end()).code, 4409);
  assert.deepEqual(await sessionsOf(port), new Map([["kim", await newer.sessionId]]));
}

/** By the tasks-cli of the same image. */
async function runsTask(port: number, image: Image): Promise<void> {
  const command = ["tasks-cli", "--port", String(port), "run", "echo", "hello", "--wait"];
  const { stdout } = await new Container(image, command).output;
  assert.equal(new TextDecoder().decode(stdout), "Result of task [echo]: hello\nStatus: success\n");
}
