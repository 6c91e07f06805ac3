/** What docs/redis-access.md tells an operator to write: its tests run it. */

const PAGE = await Deno.readTextFile(new URL("../../docs/redis-access.md", import.meta.url));

/** The password of the service's user on the page. */
export const PASSWORD = "change-this-password";

/** The blocks of the page in this language. */
export function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(([, text]) => text!);
}

/** The service's user, as Redis's command line takes it after `--user`. */
export function serviceUser(): string[] {
  return blocks("acl")[0]!.trim().split("\n").at(-1)!.replace(/^user /, "").split(" ");
}

/** What that user needs beside in a cluster. */
export function clusterRights(): string[] {
  const [rights] = PAGE.match(/\+cluster\|\S+(?: \+cluster\|\w+)+/)!;
  return rights.split(" ");
}

/** What the user of Sentinels needs. */
export function sentinelRights(): string[] {
  const [rights] = PAGE.match(/-@all \+sentinel\|\S+(?: \+sentinel\|[\w-]+)+/)!;
  return rights.split(" ");
}
