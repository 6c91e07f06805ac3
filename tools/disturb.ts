/** What others do on a busy machine, done on purpose: tests that judge by evidence do not notice. */

import { delay, systemClock } from "../lib/service/clock.ts";

/** How many processes stand still at a time, at most. */
const STALLS_AT_ONCE = 3;

/** How long there is between two of them on average, ms. */
const BETWEEN_STALLS_MS = 250;

/** What looks after its children and says so, or goes wrong itself, when one of them stops. Our own loops are among them. */
const SUPERVISORS = ["sh", "bash", "script"];

/** Goes on until it is disposed of; then all that stood still go on. */
export class Disturbance implements AsyncDisposable {
  /** How often a process stood still. */
  stalls = 0;
  readonly #loops: Deno.ChildProcess[];
  readonly #stop = new AbortController();
  readonly #stalling: Promise<unknown>;

  /**
   * @param options.loops So many endless loops run.
   * @param options.stallMs Where it is not 0, processes that descend from this one stand still now and then, as where a system
   *   has others to serve; one of them at random, for so long at most. One that a test stops meanwhile goes on too early: look
   *   twice at what fails then.
   */
  constructor({ loops, stallMs }: { loops: number; stallMs: number }) {
    this.#loops = Array.from(
      { length: loops },
      () => new Deno.Command("sh", { args: ["-c", "while kill -0 $PPID 2>/dev/null; do :; done"] }).spawn(),
    );
    this.#stalling = Promise.all(
      Array.from({ length: stallMs > 0 ? STALLS_AT_ONCE : 0 }, () => this.#stall(stallMs)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const loop of this.#loops) loop.kill("SIGKILL");
    this.#stop.abort();
    await Promise.all([this.#stalling, ...this.#loops.map(({ status }) => status)]);
  }

  async #stall(maxMs: number): Promise<void> {
    const { signal } = this.#stop;
    for (; !signal.aborted; await delay(systemClock, 2 * Math.random() * BETWEEN_STALLS_MS, signal)) {
      const pids = runningDescendants();
      if (pids.length === 0) continue;
      const pid = pids[Math.floor(Math.random() * pids.length)]!;
      if (!kill(pid, "SIGSTOP")) continue;
      await delay(systemClock, Math.random() ** 2 * maxMs, signal); // mostly short
      kill(pid, "SIGCONT");
      this.stalls++;
    }
  }
}

/** Those that nobody has stopped, but for supervisors and what they look after. */
function runningDescendants(): number[] {
  const { stdout } = new Deno.Command("ps", { args: ["-eo", "pid=,ppid=,stat=,comm="] }).outputSync();
  const processes = new TextDecoder().decode(stdout).trim().split("\n").map((line) => {
    const [pid, parent, state, name] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), state: state!, name: name! };
  });
  const byParent = Map.groupBy(processes, ({ parent }) => parent);
  const below = (parent: number, supervised: boolean): number[] =>
    (byParent.get(parent) ?? []).flatMap(({ pid, state, name }) => {
      const supervises = SUPERVISORS.includes(name);
      const spared = supervised || supervises || /^[TZ]/.test(state) || name === "ps";
      return [...(spared ? [] : [pid]), ...below(pid, supervises)];
    });
  return below(Deno.pid, false);
}

/** Returns whether it was there. */
function kill(pid: number, signal: Deno.Signal): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch {
    return false; // it has ended meanwhile
  }
}
