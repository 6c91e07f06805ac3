/** What the system says of a process; asked of `ls` and `ps`, since Deno lets no one read /proc. */

/** How many descriptors it has open; 0 when it has ended. */
export async function openDescriptors(pid: number): Promise<number> {
  return (await output("ls", `/proc/${pid}/fd`)).split("\n").filter(Boolean).length;
}

/** How much memory it has in use; 0 when it has ended. */
export async function residentMiB(pid: number): Promise<number> {
  return Math.round(Number(await output("ps", "-o", "rss=", "-p", String(pid))) / 1024);
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
