/** Connects as often as asked; ends when every connection was closed. */

const [port, count] = Deno.args.map(Number);
for (let i = 0; i < count!; i++) new WebSocket(`ws://127.0.0.1:${port}/?client_id=watcher-${i}`);
