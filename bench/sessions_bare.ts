/** The floor: the platform's own upgrade with the same heartbeat, and one text of the same length. Nothing else. */

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`listening on 127.0.0.1:${port}`),
}, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 10 });
  socket.onopen = () => socket.send(crypto.randomUUID());
  return response;
});
