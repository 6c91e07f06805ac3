/** The replies of one connection whose turn has not come, and what they cost. */

import type { TaskReply } from "./dispatcher.ts";
import { hasEnded, type Task, type TaskQueue } from "./queue.ts";

/** What a held reply takes beside its text: objects here and in the queue. */
export const HELD_REPLY_BYTES = 700;

/** Held replies from which on a client's requests are left unread. */
const MAX_HELD = 1000;

/** Memory for their texts from which on a client's requests are left unread. */
const MAX_HELD_TEXT_BYTES = 128 * 1024;

/** Memory that a text takes at most: two bytes for each UTF-16 unit. */
export function textBytes(text: string): number {
  return 2 * text.length;
}

interface HeldReply {
  /** What to send, or what it will be made from; undefined until the task that it waits for has ended. */
  content: string | TaskReply | undefined;
  /** The task that it tells of. */
  task?: Task;
  /** Whether its text counts with this reply: not where the next one tells of the same task. */
  countsText: boolean;
  /** What its text counts for: its own line, or the result of a task that has ended. */
  textBytes: number;
  /** Stops listening for the end of its task. */
  stopListening?: () => void;
}

/**
 * Replies behind one that waits for a task, in order.
 *
 * A reply about a task is made when its turn has come, not before: a thousand may wait for the same large result. So the
 * text of a task counts once for all replies in a row that tell of it, with the last of them.
 */
export class HeldReplies {
  readonly #queue: TaskQueue;
  readonly #onChange: (firstIsReady: boolean) => void;
  readonly #replies: HeldReply[] = [];
  #textBytes = 0;

  /** @param onChange Told when a task has ended: the first reply may be ready now, and what is held has grown. */
  constructor(queue: TaskQueue, onChange: (firstIsReady: boolean) => void) {
    this.#queue = queue;
    this.#onChange = onChange;
  }

  get length(): number {
    return this.#replies.length;
  }

  /** The memory that all this takes. */
  get bytes(): number {
    return this.#textBytes + this.#replies.length * HELD_REPLY_BYTES;
  }

  /** Whether no more should be added. */
  get isFull(): boolean {
    return this.#replies.length >= MAX_HELD || this.#textBytes > MAX_HELD_TEXT_BYTES;
  }

  /** Adds a line. */
  addLine(line: string): void {
    this.#replies.push({ content: line, countsText: true, textBytes: 0 });
    this.#count(this.#replies.at(-1)!, textBytes(line));
  }

  /** Adds a reply about a task. */
  add(content: TaskReply): void {
    const { task, waits } = content;
    const previous = this.#replies.at(-1);
    if (previous?.task === task) {
      this.#count(previous, 0);
      previous.countsText = false;
    }
    const reply: HeldReply = { content: waits ? undefined : content, task, countsText: true, textBytes: 0 };
    this.#replies.push(reply);
    if (hasEnded(task)) return this.#count(reply, resultBytes(task));
    reply.stopListening = this.#queue.onEnd(task, () => {
      reply.stopListening = undefined;
      reply.content = content;
      if (reply.countsText) this.#count(reply, resultBytes(task));
      this.#onChange(reply === this.#replies[0]);
    });
  }

  /** The next one to send, as a line or to be made one; undefined where none is ready. */
  take(): string | TaskReply | undefined {
    const content = this.#replies[0]?.content;
    if (content === undefined) return undefined;
    const reply = this.#replies.shift()!;
    reply.stopListening?.();
    this.#textBytes -= reply.textBytes;
    return content;
  }

  /** Lets go of all of them. */
  drop(): void {
    for (const { stopListening } of this.#replies) stopListening?.();
    this.#replies.length = 0;
    this.#textBytes = 0;
  }

  #count(reply: HeldReply, textBytes: number): void {
    this.#textBytes += textBytes - reply.textBytes;
    reply.textBytes = textBytes;
  }
}

/** The memory that the result of a task takes. */
export function resultBytes({ result }: Task): number {
  return textBytes(result ?? "");
}
