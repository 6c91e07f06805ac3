import { type SessionEntry, toJson } from "../session_entry.ts";

/** How `/sessions` writes the entries. */
export interface ListingFormat {
  readonly contentType: string;
  readonly start: string;
  /** Several entries at once; `first` where nothing was written before. */
  page(entries: SessionEntry[], first: boolean): string;
  readonly end: string;
}

/** A line `client_id session_id` each, as the seed of the project asks. */
export const TEXT_LISTING: ListingFormat = {
  contentType: "text/plain; charset=utf-8",
  start: "",
  page: (entries) => {
    let lines = "";
    for (const { clientId, sessionId } of entries) lines += `${clientId} ${sessionId}\n`;
    return lines;
  },
  end: "",
};

/** An array of objects. */
export const JSON_LISTING: ListingFormat = {
  contentType: "application/json",
  start: "[",
  page: (entries, first) =>
    (first ? "\n" : ",\n") + entries.map((entry) => JSON.stringify(toJson(entry))).join(",\n"),
  end: "\n]\n",
};

/**
 * A listing as a stream of bytes that reads on only as its reader does.
 *
 * The first page is awaited before the result is there, so that a store that is out of reach is still an error and not
 * a broken answer.
 */
export async function listingStream(
  pages: AsyncIterable<SessionEntry[]>,
  format: ListingFormat,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const encoder = new TextEncoder();
  const iterator = pages[Symbol.asyncIterator]();
  let next = await iterator.next();
  let first = true;
  return new ReadableStream({
    async pull(controller) {
      if (next.done) {
        controller.enqueue(encoder.encode((first ? format.start : "") + format.end));
        controller.close();
        return;
      }
      const text = (first ? format.start : "") + format.page(next.value, first);
      first = false;
      controller.enqueue(encoder.encode(text));
      next = await iterator.next();
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
