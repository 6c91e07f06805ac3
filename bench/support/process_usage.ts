/** What the kernel has accounted to a process. Read by `cat`: Deno lets no one read /proc who is not allowed everything. */

/** Linux counts CPU time in these on every architecture that Deno runs on. */
const TICK_MS = 10;

/** CPU time of all threads so far, ms, in steps of 10. */
export function cpuMs(pid: number): number {
  return cpuMsOf(`/proc/${pid}/stat`);
}

/** CPU time of the main thread so far, which runs the event loop, ms, in steps of 10. */
export function mainThreadMs(pid: number): number {
  return cpuMsOf(`/proc/${pid}/task/${pid}/stat`);
}

function cpuMsOf(path: string): number {
  const stat = read(path);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold spaces
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS; // utime, stime
}

/** Resident memory now, bytes. */
export function residentBytes(pid: number): number {
  const kib = read(`/proc/${pid}/status`).match(/^VmRSS:\s+(\d+) kB$/m)?.[1];
  return Number(kib) * 1024;
}

function read(path: string): string {
  return new TextDecoder().decode(new Deno.Command("cat", { args: [path] }).outputSync().stdout);
}
