/** The part of the npm package ws that is used here; it comes without types. */

import type { Socket } from "node:net";
import type { Writable } from "node:stream";

export class Receiver extends Writable {
  constructor(options: {
    isServer: boolean;
    extensions: object;
    maxPayload: number;
    maxFragments: number;
    maxBufferedChunks: number;
  });
}

export class Sender {
  constructor(socket: Socket, extensions: object);
  send(
    text: string,
    options: { binary: boolean; compress: boolean; fin: boolean; mask: boolean },
    written?: (error?: Error) => void,
  ): void;
  ping(data: Uint8Array, mask: boolean, written?: (error?: Error) => void): void;
  pong(data: Uint8Array, mask: boolean, written?: (error?: Error) => void): void;
  close(
    code: number | undefined,
    reason: string | Uint8Array,
    mask: boolean,
    written?: (error?: Error) => void,
  ): void;
}
