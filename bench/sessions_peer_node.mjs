// The job of ws-server in Node, as its users would write it: `ws`, the official Redis client, and the very scripts of
// this project, so that every session is claimed, evicted, confirmed and released exactly as here.
// NODE_PATH=<folder of packages> node sessions_peer_node.mjs <Redis URL> <prefix> <folder of the scripts>

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // unlike an import, it looks for packages where NODE_PATH says
const { createClient, defineScript } = require("@redis/client");
const { WebSocketServer } = require("ws");

const [url, prefix, folder] = process.argv.slice(2);
const LEASE_MS = 10_000;
const node = randomUUID().slice(0, 8);
const keys = {
  sessions: `${prefix}:sessions`,
  nodes: `${prefix}:nodes`,
  epoch: `${prefix}:epoch`,
  generation: `${prefix}:generation`,
  events: `${prefix}:events`,
  channel: `${prefix}:node:`,
};

function script(name, numberOfKeys) {
  return defineScript({
    SCRIPT: readFileSync(`${folder}/line.lua`, "utf8") + readFileSync(`${folder}/${name}.lua`, "utf8"),
    NUMBER_OF_KEYS: numberOfKeys,
    parseCommand: (parser, args) => parser.push(...args),
    transformReply: undefined,
  });
}

const redis = createClient({
  url,
  RESP: 3,
  maintNotifications: "disabled",
  commandOptions: { timeout: undefined }, // the default costs a timer for each command
  scripts: { claim: script("claim", 5), release: script("release", 4), renew: script("renew", 3) },
});
redis.on("error", (error) => console.error(error.message));
await redis.connect();

const sessions = new Map(); // session_id -> { clientId, sessionId, socket, epoch, established }

async function ask(session) {
  const { clientId, sessionId, epoch, established, connectedAt } = session;
  const state = established ? "e" : "w";
  const validUntil = String(Date.now() + LEASE_MS / 4);
  const [answer, place] = await redis.claim([
    ...[keys.sessions, keys.nodes, keys.epoch, keys.generation, keys.events],
    ...[clientId, sessionId, node, connectedAt, epoch, state, validUntil, keys.channel],
  ]);
  if (sessions.get(sessionId) !== session) return;
  if (place) session.epoch = place;
  if (answer === "e") establish(session);
  else if (answer === "r") evict(session);
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
  const mode = session.established ? "held" : "ended";
  const { clientId, sessionId } = session;
  redis.release([
    keys.sessions,
    keys.generation,
    keys.nodes,
    keys.events,
    clientId,
    sessionId,
    keys.channel,
    mode,
  ]);
}

let generation = "";
async function renew() {
  const mode = generation ? "renew" : "join";
  const reply = await redis.renew([
    keys.nodes,
    keys.generation,
    keys.events,
    node,
    String(LEASE_MS),
    generation,
    mode,
    "0", // no grace: only the first start of this prefix
    "", // no former node
  ]);
  if (reply[0] === "lapsed") throw new Error("the lease is over");
  generation = reply[1];
}

await redis.subscribe(keys.channel + node, (message) => {
  const [kind, sessionId] = message.split(" ");
  const session = sessions.get(sessionId);
  if (session) kind === "turn" ? establish(session) : evict(session);
});
await renew();
setInterval(renew, LEASE_MS / 20);

const server = createServer();
const webSockets = new WebSocketServer({ server });
webSockets.on("connection", (socket, request) => {
  const clientId = new URL(request.url, "http://localhost").searchParams.get("client_id");
  const session = { clientId, sessionId: randomUUID(), socket, epoch: "", connectedAt: String(Date.now()) };
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
