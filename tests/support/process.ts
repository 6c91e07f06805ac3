/** What the system says of a process; asked of `ls` and `ps`, since Deno lets no one read /proc. */

import { until } from "./wait.ts";

/** How many descriptors it has open; 0 when it has ended. */
export async function openDescriptors(pid: number): Promise<number> {
  return (await output("ls", `/proc/${pid}/fd`)).split("\n").filter(Boolean).length;
}

/** How much memory it has in use; 0 when it has ended. */
export async function residentMiB(pid: number): Promise<number> {
  return Math.round(Number(await output("ps", "-o", "rss=", "-p", String(pid))) / 1024);
}

/** How much memory it has had in use at most. */
export async function peakMiB(pid: number): Promise<number> {
  const [, kib] = (await output("cat", `/proc/${pid}/status`)).match(/^VmHWM:\s+(\d+) kB$/m)!;
  return Math.round(Number(kib) / 1024);
}

/** The states of its children, as `ps` writes them: R runs, S sleeps, T stands still. */
export async function childStates(pid: number): Promise<string[]> {
  return (await output("ps", "-o", "stat=", "--ppid", String(pid))).split("\n").filter(Boolean);
}

/** Waits until it has nothing to do but what comes now and then: it asks for less than a tenth of a core. */
export async function comesToRest(pid: number): Promise<void> {
  await until(async () => {
    const [beforeMs, startMs] = [await demandMs(pid), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 500));
    return await demandMs(pid) - beforeMs < (performance.now() - startMs) / 10;
  }, `process ${pid} has nothing to do`);
}

/** For how long its threads have run, or could not because the cores were busy with others. */
async function demandMs(pid: number): Promise<number> {
  const lines = (await output("sh", "-c", `cat /proc/${pid}/task/*/schedstat`)).trim().split("\n");
  const nanoseconds = lines.flatMap((line) => line.split(" ").slice(0, 2)).map(Number); // running, and waiting to run
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
