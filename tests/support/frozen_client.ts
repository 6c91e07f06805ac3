/** A client in a process of its own, to be stopped by SIGSTOP. Prints its session_id. */

const [port, clientId] = Deno.args;
const socket = new WebSocket(`ws://127.0.0.1:${port}/?client_id=${clientId}`);
socket.onmessage = ({ data }) => console.log(data);
