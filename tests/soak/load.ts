/**
 * A process of well-behaved clients that hold connections and come and go. Prints a line of JSON now and then.
 *
 * Each of its clients has a connection; at any moment some come again before they have left, on any server, and replace
 * themselves, and some drop their connection and come again later.
 */

import { Random } from "../chaos/random.ts";

export interface LoadOptions {
  seed: string;
  ports: number[];
  /** The first part of each client_id. */
  name: string;
  clients: number;
  /** How many clients come again each second, replacing themselves, and how many drop their connection. */
  replacedPerS: number;
  droppedPerS: number;
}

/** What such a process has seen since its start. */
export interface LoadReport {
  established: number;
  replaced: number;
  dropped: number;
  /** Closes that nobody had asked for, by code, and connections that failed. */
  unexpected: Record<string, number>;
}

const REPORT_MS = 1000;

/** So many connections are begun at once at the start. */
const START_BATCH = 50;

/** How long a client that dropped its connection stays away, at most. */
const MAX_AWAY_MS = 2_000;

const REPLACED = 4409;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Load {
  readonly #options: LoadOptions;
  readonly #random: Random;
  /** The latest connection of each client. */
  readonly #sockets: (WebSocket | undefined)[];
  readonly #established = new WeakSet<WebSocket>();
  readonly #report: LoadReport = { established: 0, replaced: 0, dropped: 0, unexpected: {} };

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#random = new Random(`${options.seed} ${options.name}`);
    this.#sockets = Array(options.clients);
  }

  async run(): Promise<void> {
    const { clients, replacedPerS, droppedPerS } = this.#options;
    setInterval(() => console.log(JSON.stringify(this.#report)), REPORT_MS);
    for (let client = 0; client < clients; client += START_BATCH) {
      const batch = Array.from({ length: Math.min(START_BATCH, clients - client) }, (_, i) => client + i);
      await Promise.all(batch.map((client) => this.#connect(client)));
    }
    this.#often(replacedPerS, (client) => this.#replace(client));
    this.#often(droppedPerS, (client) => this.#drop(client));
  }

  async #often(perS: number, act: (client: number) => void): Promise<void> {
    for (;;) {
      await pause(this.#random.exponential(1000 / perS));
      act(this.#random.integer(0, this.#options.clients - 1));
    }
  }

  /** Resolves with the session_id, or when there will be none. */
  #connect(client: number): Promise<void> {
    const { name, ports } = this.#options;
    const socket = new WebSocket(`ws://127.0.0.1:${this.#random.of(ports)}/?client_id=${name}-${client}`);
    this.#sockets[client] = socket;
    return new Promise((resolve) => {
      socket.onmessage = () => {
        this.#report.established++;
        this.#established.add(socket);
        resolve();
      };
      socket.onclose = ({ code }) => {
        const current = this.#sockets[client] === socket;
        if (!current && code === REPLACED) this.#report.replaced++;
        else this.#unexpected(current ? `${code} of the newest` : String(code));
        if (current) this.#comeBack(client);
        resolve();
      };
      socket.onerror = () => {}; // a close follows
    });
  }

  /** Of two that are on their way at a time, nobody could say which is to stay. */
  #replace(client: number): void {
    const socket = this.#sockets[client];
    if (socket && this.#established.has(socket)) this.#connect(client);
  }

  #drop(client: number): void {
    const socket = this.#sockets[client];
    if (socket?.readyState !== WebSocket.OPEN) return;
    this.#report.dropped++;
    socket.onclose = null;
    socket.close();
    this.#comeBack(client);
  }

  #comeBack(client: number): void {
    this.#sockets[client] = undefined;
    setTimeout(() => this.#connect(client), this.#random.between(0, MAX_AWAY_MS));
  }

  #unexpected(what: string): void {
    this.#report.unexpected[what] = (this.#report.unexpected[what] ?? 0) + 1;
  }
}

if (import.meta.main) await new Load(JSON.parse(Deno.args[0]!)).run();
