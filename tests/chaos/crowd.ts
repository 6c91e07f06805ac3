/**
 * A process of clients. Standard input is commands, a line each; standard output is the history, an event each line.
 *
 *   calm    nobody comes or goes by himself from now on
 *   storm   many come for half of the clients at once
 *   go      life goes on
 *   leave   everybody resets his connection; the process ends
 */

import { TextLineStream } from "../support/lines.ts";
import type { ClientEvent, Habit } from "./history.ts";
import { Random } from "./random.ts";
import { Tokens } from "./tokens.ts";
import { Visitor } from "./visitor.ts";

export interface CrowdOptions {
  crowd: number;
  seed: string;
  /** Ports of the servers. */
  ports: number[];
  /** `client_id`s. They are of this process alone, so that all that is seen of one of them is seen by one clock. */
  clients: string[];
  /** With which the servers check tokens. */
  secret: string;
  /** How many connections at a time are tried for. */
  visitors: number;
}

/** Of a hundred connections. */
const HABITS: Readonly<Record<Habit, number>> = {
  good: 50,
  leaves: 8,
  drops: 7,
  resets: 7,
  "resets-early": 2,
  "half-closes": 4,
  mute: 7,
  frozen: 3,
  babbles: 5,
  impostor: 7,
};

/** How long a visitor waits before the next connection, and how long one is held, on average. */
const PAUSE_MS = 700;
const STAY_MS = 2_500;

/** One that is through with its patience and still not ended by the server is reset after this. */
const LAST_STRAW_MS = 12_000;

const STORM_CONNECTIONS = 5;

/** How often the clock is looked at; a look that is late by more than `LAG_MS` is a lag. */
const BEAT_MS = 2;
const LAG_MS = 3;

const FLUSH_MS = 100;

/** Unix time in ms, with fractions. */
const now = () => performance.timeOrigin + performance.now();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Crowd {
  readonly #options: CrowdOptions;
  readonly #tokens: Tokens;
  readonly #random: Random;
  readonly #visitors = new Set<Visitor>();
  #events: ClientEvent[] = [];
  #count = 0;
  #calm = true;
  #leaving = false;

  constructor(options: CrowdOptions, tokens: Tokens) {
    this.#options = options;
    this.#tokens = tokens;
    this.#random = new Random(`${options.seed} crowd ${options.crowd}`);
  }

  async run(): Promise<void> {
    this.#watchClock();
    setInterval(() => this.#flush(), FLUSH_MS);
    for (let i = 0; i < this.#options.visitors; i++) this.#visit();
    const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const command of lines) {
      if (command === "calm") this.#calm = true;
      if (command === "go") this.#calm = false;
      if (command === "storm") this.#storm();
      if (command === "leave") break;
    }
    this.#leaving = true;
    for (const visitor of this.#visitors) visitor.reset();
    await pause(200);
    this.#flush();
  }

  /** Connections, one after the other. */
  async #visit(): Promise<void> {
    while (!this.#leaving) {
      await pause(this.#random.exponential(PAUSE_MS));
      if (this.#calm) continue;
      const visitor = this.#connect(this.#random.of(this.#options.clients), this.#random.weighted(HABITS));
      await Promise.race([visitor.over, this.#stay(visitor)]);
    }
  }

  async #stay(visitor: Visitor): Promise<void> {
    const speaking = setInterval(() => visitor.speak(), this.#random.between(1_000, 4_000));
    await this.#patience(this.#random.exponential(STAY_MS));
    visitor.part();
    await this.#patience(LAST_STRAW_MS);
    clearInterval(speaking);
    visitor.reset();
  }

  /** A wait that does not end in a calm. */
  async #patience(ms: number): Promise<void> {
    await pause(ms);
    while (this.#calm && !this.#leaving) await pause(FLUSH_MS);
  }

  #storm(): void {
    for (const client of this.#options.clients) {
      if (this.#random.next() < 0.5) continue;
      for (let i = 0; i < STORM_CONNECTIONS; i++) this.#stay(this.#connect(client, "good"));
      this.#stay(this.#connect(client, "impostor"));
    }
  }

  #connect(client: string, habit: Habit): Visitor {
    const { crowd, ports } = this.#options;
    const server = this.#random.integer(0, ports.length - 1);
    const visitor = new Visitor({
      conn: `${crowd}:${++this.#count}`,
      client,
      server,
      port: ports[server]!,
      habit,
      token: habit === "impostor" ? this.#tokens.notOf(client, this.#random) : this.#tokens.of(client),
      random: this.#random,
      record: (event) => this.#events.push(event),
      now,
    });
    this.#visitors.add(visitor);
    visitor.over.then(() => this.#visitors.delete(visitor));
    return visitor;
  }

  #watchClock(): void {
    let last = now();
    setInterval(() => {
      const at = now();
      if (at - last > BEAT_MS + LAG_MS) {
        this.#events.push({ kind: "lag", at: last, until: at, crowd: this.#options.crowd });
      }
      last = at;
    }, BEAT_MS);
  }

  #flush(): void {
    if (this.#events.length === 0) return;
    const text = this.#events.map((event) => JSON.stringify(event) + "\n").join("");
    this.#events = [];
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
  }
}

if (import.meta.main) {
  const options: CrowdOptions = JSON.parse(Deno.args[0]!);
  await new Crowd(options, await Tokens.make(options.secret, options.clients)).run();
  Deno.exit(0);
}
