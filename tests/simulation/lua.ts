import { LuaApi } from "wasmoon-lua5.1";

/** What a command answers inside a script; `null` is Lua's `false`, as in Redis. */
export type LuaReply = string | number | null | LuaReply[];

/** Runs a command of a script. */
export type RedisCall = (command: string[]) => LuaReply;

/**
 * Lua's own functions, as WebAssembly has them. The package's wrappers convert what these do not need converted, which took most of
 * the time of a simulation.
 */
interface Machine {
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  readonly HEAPU32: Uint32Array;
  addFunction(callback: (state: number) => number, signature: string): number;
  _malloc(bytes: number): number;
  _luaL_newstate(): number;
  _luaL_openlibs(state: number): void;
  _luaL_loadbuffer(state: number, text: number, bytes: number, name: number): number;
  _luaL_ref(state: number, table: number): number;
  _lua_createtable(state: number, items: number, fields: number): void;
  _lua_getfield(state: number, index: number, name: number): void;
  _lua_gettop(state: number): number;
  _lua_objlen(state: number, index: number): number;
  _lua_pcall(state: number, args: number, results: number, handler: number): number;
  _lua_pushboolean(state: number, value: number): void;
  _lua_pushcclosure(state: number, callback: number, upvalues: number): void;
  _lua_pushlstring(state: number, text: number, bytes: number): void;
  _lua_pushnumber(state: number, value: number): void;
  _lua_rawgeti(state: number, index: number, n: number): void;
  _lua_rawseti(state: number, index: number, n: number): void;
  _lua_setfield(state: number, index: number, name: number): void;
  _lua_settop(state: number, index: number): void;
  _lua_toboolean(state: number, index: number): number;
  _lua_tolstring(state: number, index: number, length: number): number;
  _lua_tonumber(state: number, index: number): number;
  _lua_type(state: number, index: number): number;
}

/** `LUA_REGISTRYINDEX` and `LUA_GLOBALSINDEX` of Lua 5.1. */
const REGISTRY = -10000;
const GLOBALS = -10002;

const TYPE = { boolean: 1, number: 3, string: 4, table: 5 } as const;

/** The longest text that goes in or out, bytes. */
const BUFFER_BYTES = 64 * 1024;

const GUARD = `
setmetatable(_G, { __newindex = function(_, name) error("a script made the global " .. name) end })`;

/**
 * The scripts' language as Redis has it: the true Lua 5.1, with `redis.call`, `KEYS`, `ARGV` and no way to make a global.
 *
 * One machine serves all simulated Redises of a process, and compiles each script once.
 */
export class Lua {
  readonly #m: Machine;
  readonly #state: number;
  readonly #buffer: number;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  /** References to compiled scripts, by their text. */
  readonly #compiled = new Map<string, number>();
  #call: RedisCall = () => null;
  #failure: unknown;

  private constructor(machine: Machine) {
    const m = this.#m = machine;
    const state = this.#state = m._luaL_newstate();
    this.#buffer = m._malloc(BUFFER_BYTES);
    m._luaL_openlibs(state);
    const callback = m.addFunction(() => this.#onCall(), "ii");
    m._lua_createtable(state, 0, 2);
    for (const name of ["call", "pcall"]) { // no command fails here
      m._lua_pushcclosure(state, callback, 0);
      this.#setField(-2, name);
    }
    this.#setField(GLOBALS, "redis");
    for (const name of ["KEYS", "ARGV"]) this.#define(name, []);
    this.run(GUARD, [], [], () => null);
  }

  static async create(): Promise<Lua> {
    // in a worker the package would look for it beside the worker
    const wasm = new URL("./liblua5.1.wasm", import.meta.resolve("wasmoon-lua5.1"));
    return new Lua((await LuaApi.initialize(wasm.pathname)).module as unknown as Machine);
  }

  /** Runs a script to its end. @throws with Lua's own words, and whatever `call` has thrown. */
  run(script: string, keys: string[], args: string[], call: RedisCall): LuaReply {
    const m = this.#m, state = this.#state;
    this.#call = call;
    this.#failure = undefined;
    this.#define("KEYS", keys);
    this.#define("ARGV", args);
    m._lua_rawgeti(state, REGISTRY, this.#compile(script));
    const failed = m._lua_pcall(state, 0, 1, 0) !== 0;
    if (failed || this.#failure) throw this.#failure ?? new Error(`Lua: ${this.#text(-1)}`);
    const reply = this.#read();
    m._lua_settop(state, 0);
    return reply;
  }

  #compile(script: string): number {
    let reference = this.#compiled.get(script);
    if (reference === undefined) {
      const bytes = this.#encode(script);
      if (this.#m._luaL_loadbuffer(this.#state, this.#buffer, bytes, this.#buffer) !== 0) {
        throw new Error(`Lua: ${this.#text(-1)}`);
      }
      reference = this.#m._luaL_ref(this.#state, REGISTRY);
      this.#compiled.set(script, reference);
    }
    return reference;
  }

  #define(name: string, texts: string[]): void {
    this.#push(texts);
    this.#setField(GLOBALS, name);
  }

  #setField(index: number, name: string): void {
    this.#encode(name);
    this.#m._lua_setfield(this.#state, index, this.#buffer);
  }

  #onCall(): number {
    const command: string[] = [];
    const count = this.#m._lua_gettop(this.#state);
    for (let i = 1; i <= count; i++) command.push(this.#text(i));
    try {
      this.#push(this.#call(command));
    } catch (error) {
      this.#failure = error; // not through the machine: it would not survive it
      this.#m._lua_pushboolean(this.#state, 0);
    }
    return 1;
  }

  #push(value: LuaReply): void {
    const m = this.#m, state = this.#state;
    if (value === null) m._lua_pushboolean(state, 0);
    else if (typeof value === "string") m._lua_pushlstring(state, this.#buffer, this.#encode(value));
    else if (typeof value === "number") m._lua_pushnumber(state, value);
    else {
      m._lua_createtable(state, value.length, 0);
      for (let i = 0; i < value.length; i++) {
        this.#push(value[i]!);
        m._lua_rawseti(state, -2, i + 1);
      }
    }
  }

  /** The top of the stack as Redis turns it into a reply: numbers lose their fraction, arrays end at the first nil. */
  #read(): LuaReply {
    const m = this.#m, state = this.#state;
    switch (m._lua_type(state, -1)) {
      case TYPE.string:
        return this.#text(-1);
      case TYPE.number:
        return Math.trunc(m._lua_tonumber(state, -1));
      case TYPE.boolean:
        return m._lua_toboolean(state, -1) ? 1 : null;
      case TYPE.table: {
        const values: LuaReply[] = [];
        for (let i = 1, length = m._lua_objlen(state, -1); i <= length; i++) {
          m._lua_rawgeti(state, -1, i);
          values.push(this.#read());
          m._lua_settop(state, -2);
        }
        return values;
      }
      default:
        return null;
    }
  }

  /** Numbers become texts as Lua has it. */
  #text(index: number): string {
    const at = this.#m._lua_tolstring(this.#state, index, this.#buffer);
    const length = this.#m.HEAPU32[this.#buffer >> 2]!;
    const bytes = this.#m.HEAPU8.subarray(at, at + length);
    if (length > 64) return this.#decoder.decode(bytes);
    let text = "";
    for (let i = 0; i < length; i++) {
      if (bytes[i]! > 127) return this.#decoder.decode(bytes);
      text += String.fromCharCode(bytes[i]!);
    }
    return text;
  }

  /** Puts a text and an end into the buffer. @returns its length, bytes. */
  #encode(text: string): number {
    const heap = this.#m.HEAPU8, buffer = this.#buffer;
    let length = text.length;
    if (length < 64) {
      let i = 0;
      for (; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code > 127) break;
        heap[buffer + i] = code;
      }
      if (i === length) {
        heap[buffer + length] = 0;
        return length;
      }
    }
    length = this.#encoder.encodeInto(text, heap.subarray(buffer, buffer + BUFFER_BYTES - 1)).written;
    heap[buffer + length] = 0;
    return length;
  }
}
