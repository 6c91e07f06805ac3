import { Lua, type LuaReply } from "./lua.ts";
import type { Mutation } from "./mutants.ts";
import { RedisData } from "./redis_data.ts";
import type { World } from "./world.ts";

/** Of Unix time at the beginning of each simulation. */
const EPOCH_MS = 1_700_000_000_000;

/** How long a command takes, ms. */
const COMMAND_MS = 0.02;

/** The end of a connection at Redis. */
export interface Peer {
  /** Takes a reply or a message, to be delivered in the order in which they are taken. */
  reply(value: { reply: LuaReply } | { error: string } | { channel: string; message: string }): void;
  /** Redis has closed the connection. */
  close(): void;
}

/** What happens when a script has run. */
export interface ScriptRun {
  script: string;
  keys: string[];
  args: string[];
  reply: LuaReply;
  /** Whose connection it came by. */
  peer: Peer;
  /** For a script about a line: what the line was. */
  lineBefore: string | undefined;
}

const lua = await Lua.create();

/**
 * The Redis of a simulation, which is many over its life: each restart or failover is another one, with other ids, and
 * with the data that this one happens to have.
 */
export class SimulatedRedis {
  readonly #world: World;
  readonly #onScript: (run: ScriptRun) => void;
  readonly #mutation: Mutation;
  data = new RedisData();
  #runId = "";
  #replicationId = "";
  /** What its clock was set forward. */
  #clockOffsetMs = 0;
  #up = true;
  #paused = false;
  readonly #scripts = new Map<string, string>();
  readonly #channels = new Map<string, Set<Peer>>();
  /** What has arrived and was not read yet. */
  readonly #inbox = new Map<Peer, string[][]>();
  #busyUntilMs = 0;
  #ids = 0;

  constructor(world: World, onScript: (run: ScriptRun) => void, mutation: Mutation = {}) {
    this.#world = world;
    this.#onScript = onScript;
    this.#mutation = mutation;
    this.#rename();
  }

  /** Unix time as this Redis has it. */
  get timeMs(): number {
    return EPOCH_MS + this.#world.nowMs + this.#clockOffsetMs;
  }

  /** Whether it accepts connections. */
  get up(): boolean {
    return this.#up;
  }

  get runId(): string {
    return this.#runId;
  }

  /** The lines of all clients. */
  get lines(): string[] {
    const { data } = this;
    return data.keys("{solo}:sessions:").flatMap((key) => [...data.hash(key).values()]);
  }

  // ---- what goes wrong ----------------------------------------------------------------------------------------------

  /** It stands still: connections stay, and what arrives waits. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    // which connection is read first is not known
    const peers = shuffled([...this.#inbox.keys()], this.#world);
    for (const peer of peers) this.#work(peer);
  }

  /** It is gone, and all connections with it. */
  stop(): void {
    this.#up = false;
    this.#paused = false;
    for (const peer of this.#inbox.keys()) peer.close();
    this.#inbox.clear();
    this.#channels.clear();
    this.#scripts.clear();
  }

  /** Another one takes its place. @param runId Of one that was here before. */
  start(data: RedisData, runId?: string): void {
    this.data = data;
    this.#rename();
    if (runId) this.#runId = runId;
    this.#up = true;
  }

  flush(): void {
    this.data.run(["FLUSHALL"], this.timeMs);
  }

  forgetScripts(): void {
    this.#scripts.clear();
  }

  setClock(ms: number): void {
    this.#clockOffsetMs += ms;
  }

  // ---- its connections ----------------------------------------------------------------------------------------------

  accept(peer: Peer): void {
    this.#inbox.set(peer, []);
  }

  /** The connection is gone, with what was not read yet. */
  forget(peer: Peer): void {
    this.#inbox.delete(peer);
    for (const peers of this.#channels.values()) peers.delete(peer);
  }

  /** A command has arrived; one without words is the end of the connection, which comes behind all that was sent. */
  receive(peer: Peer, command: string[]): void {
    const waiting = this.#inbox.get(peer);
    if (!waiting) return;
    waiting.push(command);
    if (!this.#paused) this.#work(peer);
  }

  #work(peer: Peer): void {
    this.#world.at(this.#busyUntilMs, () => {
      const waiting = this.#inbox.get(peer);
      if (!waiting || this.#paused) return;
      for (const command of waiting.splice(0)) {
        if (command.length === 0) return this.forget(peer);
        this.#busyUntilMs = this.#world.nowMs + COMMAND_MS;
        this.#execute(peer, command);
      }
    });
  }

  #execute(peer: Peer, command: string[]): void {
    const [name, argument = ""] = command;
    switch (name) {
      case "SUBSCRIBE": {
        let peers = this.#channels.get(argument);
        if (!peers) this.#channels.set(argument, peers = new Set());
        peers.add(peer);
        return peer.reply({ reply: "OK" });
      }
      case "SCRIPT": {
        const script = command[2]!;
        const digest = `digest of ${script.length} ${script.slice(-40)}`;
        this.#scripts.set(digest, script);
        return peer.reply({ reply: digest });
      }
      case "PUBLISH":
        return peer.reply({ reply: this.#call(command) });
      case "EVALSHA":
        return this.#evaluate(peer, command);
      default:
        return peer.reply({ reply: this.data.run(command, this.timeMs) });
    }
  }

  #evaluate(peer: Peer, [, digest, count, ...rest]: string[]): void {
    const script = this.#scripts.get(digest!);
    if (script === undefined) return peer.reply({ error: "NOSCRIPT No matching script. Please use EVAL." });
    const keys = rest.slice(0, Number(count)), args = rest.slice(Number(count));
    const lineBefore = this.data.hash(keys[1] ?? "").get(args[0] ?? "");
    const reply = this.eval(script, keys, args);
    peer.reply({ reply });
    this.#onScript({ script, keys, args, reply, peer, lineBefore });
  }

  /** Runs a script at once. */
  eval(script: string, keys: string[], args: string[]): LuaReply {
    const { script: patch, call: mutated } = this.#mutation;
    const call = (command: string[]) => this.#call(command);
    return lua.run(
      patch?.(script) ?? script,
      keys,
      args,
      mutated ? (command) => mutated(command, this.#world.nowMs, call) : call,
    );
  }

  #call(command: string[]): LuaReply {
    switch (command[0]) {
      case "INFO":
        return command[1] === "server"
          ? `# Server\r\nrun_id:${this.#runId}\r\n`
          : `# Replication\r\nrole:master\r\nmaster_replid:${this.#replicationId}\r\n`;
      case "PUBLISH": {
        const peers = this.#channels.get(command[1]!) ?? new Set();
        for (const peer of peers) peer.reply({ channel: command[1]!, message: command[2]! });
        return peers.size;
      }
      default:
        return this.data.run(command, this.timeMs);
    }
  }

  #rename(): void {
    const id = (kind: string) => (kind + String(++this.#ids).padStart(4, "0")).repeat(5);
    this.#runId = id("aaaa");
    this.#replicationId = id("bbbb");
  }
}

function shuffled<T>(items: T[], { random }: World): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
