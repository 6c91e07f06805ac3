// The job of ws-server in Node, as its users would write it: `ws`, the official Redis client, a script to claim and one to
// release, and pub/sub between processes. Cheaper than ours: it has no lease, and notices neither a dead process nor lost data.
// NODE_PATH=<folder of packages> node sessions_peer_node.mjs <Redis URL> <prefix> <folder of the scripts>

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // unlike an import, it looks for packages where NODE_PATH says
const { createClient, defineScript } = require("@redis/client");
const { WebSocketServer } = require("ws");

const [url, prefix, folder] = process.argv.slice(2);
const node = randomUUID().slice(0, 8);
const key = `${prefix}:sessions`;
const channel = `${prefix}:node:`;

function script(name) {
  return defineScript({
    SCRIPT: readFileSync(`${folder}/sessions_peer_${name}.lua`, "utf8"),
    NUMBER_OF_KEYS: 1,
    parseCommand: (parser, args) => parser.push(...args),
    transformReply: undefined,
  });
}

const redis = createClient({
  url,
  RESP: 3,
  maintNotifications: "disabled",
  commandOptions: { timeout: undefined }, // the default costs a timer for each command
  scripts: { claim: script("claim"), release: script("release") },
});
redis.on("error", (error) => console.error(error.message));
await redis.connect();

const sessions = new Map(); // session_id -> { clientId, sessionId, socket, established }

async function ask(session) {
  const { clientId, sessionId } = session;
  const answer = await redis.claim([key, clientId, sessionId, node, channel]);
  if (sessions.get(sessionId) !== session) return;
  if (answer === "established") establish(session);
  else if (answer === "replaced") evict(session);
  else session.repeat = setTimeout(() => ask(session), 200);
}

function establish(session) {
  if (session.established) return;
  clearTimeout(session.repeat);
  session.established = true;
  session.socket.send(session.sessionId);
}

function evict(session) {
  session.socket.close(4409, "replaced by a newer connection");
  setImmediate(() => release(session));
}

function release(session) {
  if (!sessions.delete(session.sessionId)) return;
  clearTimeout(session.repeat);
  redis.release([key, session.clientId, session.sessionId, channel]);
}

await redis.subscribe(channel + node, (message) => {
  const [kind, sessionId] = message.split(" ");
  const session = sessions.get(sessionId);
  if (session) kind === "turn" ? establish(session) : evict(session);
});

const server = createServer();
const webSockets = new WebSocketServer({ server });
webSockets.on("connection", (socket, request) => {
  const clientId = new URL(request.url, "http://localhost").searchParams.get("client_id");
  const session = { clientId, sessionId: randomUUID(), socket, established: false };
  sessions.set(session.sessionId, session);
  socket.alive = true;
  socket.on("message", () => socket.alive = true);
  socket.on("pong", () => socket.alive = true);
  socket.on("close", () => release(session));
  ask(session);
});
setInterval(() => {
  for (const socket of webSockets.clients) {
    if (!socket.alive) socket.terminate();
    socket.alive = false;
    socket.ping();
  }
}, 5000);
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
