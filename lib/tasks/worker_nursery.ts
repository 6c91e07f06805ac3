/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The thread that starts workers, so that the one that serves clients need not wait for them; see workers.ts. */

import { type FromNursery, TASKS_WORKER, type ToNursery } from "./workers.ts";

const workers = new Map<number, Worker>();

self.onmessage = ({ data: words, ports }: MessageEvent<ToNursery>) => {
  if ("end" in words) {
    workers.get(words.end)?.terminate();
    workers.delete(words.end);
    return;
  }
  const number = words.start;
  const worker = new Worker(words.url, TASKS_WORKER);
  worker.onerror = (event) => {
    event.preventDefault(); // else the error ends this thread too
    self.postMessage({ died: number, message: event.message } satisfies FromNursery);
  };
  worker.onmessage = () => worker.postMessage(null, [...ports]);
  workers.set(number, worker);
};
