/** Connects as often as asked, and prints when each connection was closed: Unix time in ms, a line each. */

const [port, count] = Deno.args.map(Number);
for (let i = 0; i < count!; i++) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/?client_id=watcher-${i}`);
  socket.onclose = () => console.log(performance.timeOrigin + performance.now());
}
