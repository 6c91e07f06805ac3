/** `ws-server connect` by itself. */

import { createProgram, exitOf, flag } from "../../lib/service/flags.ts";
import { listenForShutdown } from "../../lib/service/shutdown.ts";
import { connect } from "../../lib/sessions/connect.ts";

interface Flags {
  endpoint: string;
  clientId?: string;
}

const program = createProgram("ws-server", "One live connection per client.");
program.command("connect")
  .description("connect as a client, print the session_id, stay, and say why the connection ended")
  .helpOption("--help", "print this help and exit")
  .addOption(
    flag("--endpoint <url>", "where the service is", {
      env: "SOLO_ENDPOINT",
      default: "http://localhost:8880",
    }),
  )
  .addOption(flag("--client-id <text>", "who connects", { env: "SOLO_CLIENT_ID" }))
  .action(async ({ endpoint, clientId }: Flags) => {
    using shutdown = listenForShutdown(() => Deno.exit(1));
    const token = Deno.env.get("SOLO_TOKEN");
    await connect({ endpoint, clientId, token, signal: shutdown.signal, print: console.log });
  });

try {
  await program.parseAsync(Deno.args, { from: "user" });
  Deno.exit(0);
} catch (error) {
  const { code, line } = exitOf(error);
  if (line) console.error(line);
  Deno.exit(code);
}
