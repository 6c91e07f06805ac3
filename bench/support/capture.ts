/**
 * What the kernel saw of connections on the loopback interface: tcpdump's record of the segments, each with the moment at
 * which the kernel took it from the sender. One clock stamps both ends, and no program's own delay is in it.
 */

import { TextLineStream } from "../../tests/support/lines.ts";

/** One segment that carries data or ends its stream. */
export interface Segment {
  /** Unix time, ms, with nanoseconds behind the point. */
  atMs: number;
  from: number;
  to: number;
  /** Whether it ends the stream: FIN or RST. */
  ends: boolean;
  payload: Uint8Array;
}

/** Room for segments that tcpdump has yet to write, KiB. */
const BUFFER_KIB = 512 * 1024;

const FIN_OR_RST = 0x05;
const GLOBAL_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;

export class Capture implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #said: Promise<string>;

  private constructor(child: Deno.ChildProcess, folder: string, said: Promise<string>) {
    this.#child = child;
    this.#folder = folder;
    this.#said = said;
  }

  /** Records from now on what goes to and from the ports. Needs tcpdump, and the right to run it. */
  static async start(ports: number[]): Promise<Capture> {
    const folder = await Deno.makeTempDir();
    const child = new Deno.Command("tcpdump", {
      args: [
        ...["-i", "lo", "-n", "-s", "600", "-B", String(BUFFER_KIB), "--time-stamp-precision=nano"],
        ...["-Z", "root", "-w", `${folder}/segments`, ports.map((port) => `tcp port ${port}`).join(" or ")],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const listening = Promise.withResolvers<void>();
    const said = (async () => {
      let text = "";
      const lines = child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
      for await (const line of lines) {
        text += `${line}\n`;
        if (line.includes("listening on")) listening.resolve();
      }
      listening.reject(new Error(`tcpdump ended:\n${text}`));
      return text;
    })();
    await listening.promise;
    return new Capture(child, folder, said);
  }

  /** Ends the record; the segments in the order in which the kernel took them, and how many it had no room for. */
  async stop(): Promise<{ segments: Segment[]; dropped: number }> {
    this.#child.kill("SIGINT");
    const dropped = Number((await this.#said).match(/(\d+) packets? dropped by kernel/)?.[1]);
    const bytes = await Deno.readFile(`${this.#folder}/segments`);
    const segments = [...parse(bytes)].sort((a, b) => a.atMs - b.atMs);
    return { segments, dropped };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // has ended already
    }
    await this.#child.status;
    await this.#said;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** The records of a file in the form of tcpdump: IPv4 over Ethernet, as the loopback interface has it on Linux. */
function* parse(bytes: Uint8Array<ArrayBuffer>): Generator<Segment> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = GLOBAL_HEADER_BYTES; at + RECORD_HEADER_BYTES <= bytes.length;) {
    const atMs = view.getUint32(at, true) * 1000 + view.getUint32(at + 4, true) / 1e6;
    const length = view.getUint32(at + 8, true);
    const ip = at + RECORD_HEADER_BYTES + ETHERNET_BYTES;
    at += RECORD_HEADER_BYTES + length;
    const tcp = ip + (bytes[ip]! & 0x0f) * 4;
    const data = tcp + (bytes[tcp + 12]! >> 4) * 4;
    const payload = bytes.subarray(data, Math.min(ip + view.getUint16(ip + 2), at));
    const ends = (bytes[tcp + 13]! & FIN_OR_RST) !== 0;
    if (payload.length === 0 && !ends) continue;
    yield { atMs, from: view.getUint16(tcp), to: view.getUint16(tcp + 2), ends, payload };
  }
}
