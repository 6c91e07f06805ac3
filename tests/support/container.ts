/**
 * Does with the Dockerfile what a container engine would do, where there is none.
 *
 * Every COPY and RUN is carried out, in order, in folders that start out empty. A RUN of the build stage uses the
 * programs of this machine in the place of those of its base image, and the Deno that runs the tests. In the final
 * images stands what the Dockerfile puts there, and from the base only the libraries that the executables are linked to.
 */

import { type Copy, DockerfileParser } from "dockerfile-ast";

/** What an image is started with, and the folder that is its root. */
export interface Image {
  base: string;
  root: string;
  env: Record<string, string>;
  entrypoint: string[];
  healthcheck: string[];
}

interface Stage extends Image {
  name: string;
  workdir: string;
}

/** The user of the images that are tagged `nonroot`. */
const NONROOT = 65532;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Follows a Dockerfile.
 *
 * @param repository Holds `Dockerfile`, `.dockerignore` and the sources.
 * @param work An empty folder.
 * @returns the stages by name.
 * @throws {Error} when a step cannot be carried out, or is of a kind that this does not know.
 */
export function build(repository: string, work: string): Map<string, Image> {
  const context = makeContext(repository, `${work}/context`);
  const stages = new Map<string, Stage>();
  let stage!: Stage;
  for (
    const instruction of DockerfileParser.parse(Deno.readTextFileSync(`${repository}/Dockerfile`))
      .getInstructions()
  ) {
    const text = instruction.getArgumentsContent() ?? "";
    const words = text.split(/\s+/);
    switch (instruction.getKeyword()) {
      case "FROM": {
        const name = words[2]!;
        stage = {
          name,
          base: words[0]!,
          root: `${work}/${name}`,
          workdir: "/",
          env: {},
          entrypoint: [],
          healthcheck: [],
        };
        Deno.mkdirSync(stage.root);
        stages.set(name, stage);
        break;
      }
      case "WORKDIR":
        stage.workdir = text;
        Deno.mkdirSync(stage.root + text, { recursive: true });
        break;
      case "COPY": {
        const from = (instruction as Copy).getFromFlag()?.getValue();
        const origin = from ? stages.get(from)!.root : context;
        const to = words.pop()!;
        for (const path of words) {
          copy(`${origin}/${path}`, stage.root + new URL(to, `file://${stage.workdir}/`).pathname);
        }
        break;
      }
      case "RUN":
        runStep(text, stage, work);
        break;
      case "ENV":
        for (const word of words) stage.env[word.split("=")[0]!] = word.slice(word.indexOf("=") + 1);
        break;
      case "ENTRYPOINT":
        stage.entrypoint = JSON.parse(text); // throws where it is not in exec form
        break;
      case "HEALTHCHECK":
        stage.healthcheck = JSON.parse(text.slice(text.indexOf("[")));
        break;
      case "CMD":
      case "EXPOSE":
        break;
      default:
        throw new Error(`Cannot follow ${instruction.getKeyword()}: not known here`);
    }
  }
  return stages;
}

/** The libraries that a program is linked to, as paths. */
export function librariesOf(program: string): string[] {
  return [...run("ldd", [program]).matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(([, path]) => path!);
}

/** Copies libraries of this machine into an image, to the same place. */
export function addLibraries(image: Image, paths: string[]): void {
  for (const path of paths) copy(path, image.root + path);
}

/** A program that runs in an image; disposing of it kills it. */
export class Container implements AsyncDisposable {
  readonly output: Promise<Deno.CommandOutput>;
  readonly #launcher: Deno.ChildProcess;

  /**
   * Runs a program as an engine would: alone in a process namespace, the image as its read-only root, as a user without
   * rights. The network stays that of this machine. Needs root.
   */
  constructor(image: Image, command: string[], env: Record<string, string> = {}) {
    this.#launcher = new Deno.Command("unshare", {
      args: ["--mount", "--pid", "--fork", "sh", "-euc", ENTER, image.root, ...command],
      clearEnv: true,
      env: { PATH, ...image.env, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.output = this.#launcher.output();
  }

  /** Sends a signal to the program, which is the only child of its launcher. */
  kill(signal: "SIGTERM" | "SIGKILL"): void {
    new Deno.Command("pkill", { args: [`-${signal}`, "-P", String(this.#launcher.pid)] }).outputSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.output;
  }
}

/** Run by a shell with the root as `$0` and the command after it. */
const ENTER = `
for folder in proc dev etc; do mkdir -p "$0/$folder"; done
echo "127.0.0.1 localhost" > "$0/etc/hosts"
mount --bind "$0" "$0"
mount -o remount,ro,bind "$0"
mount -t proc proc "$0/proc"
mount --bind /dev "$0/dev"
exec chroot --userspec=${NONROOT}:${NONROOT} "$0" "$@"
`;

/** What the builder gets to see: `.dockerignore` keeps everything back but what it names. */
function makeContext(repository: string, context: string): string {
  const [first, ...allowed] = Deno.readTextFileSync(`${repository}/.dockerignore`).split("\n")
    .filter((line) => line && !line.startsWith("#"));
  if (first !== "*" || !allowed.every((line) => line.startsWith("!"))) {
    throw new Error("Cannot follow .dockerignore: only * and then !path is known here");
  }
  for (const line of allowed) copy(`${repository}/${line.slice(1)}`, `${context}/${line.slice(1)}`);
  return context;
}

/** Copies as COPY does: into a folder where the target ends with a slash, and what is in a folder, not itself. */
function copy(from: string, to: string): void {
  const isFolder = Deno.statSync(from).isDirectory;
  const target = to.endsWith("/") && !isFolder ? to + from.slice(from.lastIndexOf("/") + 1) : to;
  Deno.mkdirSync(isFolder ? target : target.slice(0, target.lastIndexOf("/")), { recursive: true });
  run("cp", isFolder ? ["-r", `${from}/.`, target] : ["-L", from, target]);
}

function runStep(script: string, { root, workdir }: Stage, work: string): void {
  const bin = `${work}/bin`;
  Deno.mkdirSync(bin, { recursive: true });
  run("ln", ["-sf", Deno.execPath(), `${bin}/deno`]);
  run("sh", ["-c", script], {
    cwd: root + workdir,
    // packages come from the cache of the Deno that runs the tests: no test asks a registry
    env: { PATH: `${bin}:${Deno.env.get("PATH")}` },
  });
}

function run(command: string, args: string[], options: Deno.CommandOptions = {}): string {
  const { success, stdout, stderr } = new Deno.Command(command, { ...options, args }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
