/**
 * The reading and writing of frames (RFC 6455, section 5) by the npm package ws: its receiver and its sender, without
 * the `WebSocket` that it puts around them. That would cost each idle connection 3 KiB more, and it does not tell when a
 * close frame is with the kernel, as the sender does.
 */

import type { Socket } from "node:net";
// @ts-types="./ws.d.ts"
import { Receiver, Sender } from "ws";
import { type Fault, MAX_MESSAGE_BYTES } from "./transport.ts";

/** Reads the frames of one peer: `write` the bytes, and hear of messages by events. */
export type FrameReader = Receiver;
/** Writes frames to one socket. */
export type FrameWriter = Sender;

/**
 * Each part of a message that is not complete is an object of its own, however short; without these bounds a message of
 * 64 KiB, sent byte by byte, would take some 20 MiB. Both leave room for the shortest segments that TCP makes of one.
 */
const MAX_FRAGMENTS = 256;
const MAX_CHUNKS = 256;

const NO_EXTENSIONS = {};

const READER_OPTIONS = {
  isServer: true,
  extensions: NO_EXTENSIONS,
  maxPayload: MAX_MESSAGE_BYTES,
  maxFragments: MAX_FRAGMENTS,
  maxBufferedChunks: MAX_CHUNKS,
};

export function createReader(): FrameReader {
  return new Receiver(READER_OPTIONS);
}

export function createWriter(socket: Socket): FrameWriter {
  return new Sender(socket, NO_EXTENSIONS);
}

/** Which fault an error of a reader stands for. */
export function faultOf({ code }: { code?: string }): Fault {
  switch (code) {
    case "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH":
    case "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH":
      return "too-big";
    case "WS_ERR_TOO_MANY_BUFFERED_PARTS":
      return "too-many";
    case "WS_ERR_INVALID_UTF8":
      return "not-utf8";
    default:
      return "protocol-error";
  }
}
