"""The job of ws-server in Python, as its users would write it: aiohttp, redis-py, a script to claim and one to release, and
pub/sub between processes. Cheaper than ours: it has no lease, and notices neither a dead process nor lost data.

python3 sessions_peer_python.py <Redis URL> <prefix> <folder of the scripts>
"""

import asyncio
import sys
import uuid
from pathlib import Path

import redis.asyncio
from aiohttp import web

url, prefix, folder = sys.argv[1:]
node = uuid.uuid4().hex[:8]
KEY, CHANNEL = f"{prefix}:sessions", f"{prefix}:node:"

store = redis.asyncio.Redis.from_url(url, decode_responses=True)
sessions = {}  # session_id -> Session
tasks = set()  # asyncio itself keeps no reference to a task


def script(name):
    return store.register_script((Path(folder) / f"sessions_peer_{name}.lua").read_text())


claim_script, release_script = script("claim"), script("release")


def spawn(coroutine):
    task = asyncio.create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


class Session:
    def __init__(self, client_id, socket):
        self.client_id, self.socket = client_id, socket
        self.session_id = str(uuid.uuid4())
        self.established = False
        self.closing = None

    async def ask(self):
        while sessions.get(self.session_id) is self and not self.established:
            answer = await claim_script([KEY], [self.client_id, self.session_id, node, CHANNEL])
            if sessions.get(self.session_id) is not self:
                return
            if answer == "established":
                return await self.establish()
            if answer == "replaced":
                return await self.evict()
            await asyncio.sleep(0.2)

    async def establish(self):
        if not self.established:
            self.established = True
            await self.socket.send_str(self.session_id)

    async def evict(self):
        self.closing = asyncio.create_task(self.socket.close(code=4409, message=b"replaced by a newer connection"))
        while not self.socket.closed:  # from then on the frame is written: no need to wait for the peer's answer
            await asyncio.sleep(0)
        await self.release()

    async def release(self):
        if sessions.pop(self.session_id, None):
            await release_script([KEY], [self.client_id, self.session_id, CHANNEL])


async def connect(request):
    socket = web.WebSocketResponse(heartbeat=10, compress=False)
    await socket.prepare(request)
    session = Session(request.query["client_id"], socket)
    sessions[session.session_id] = session
    spawn(session.ask())
    try:
        async for _ in socket:
            pass
    finally:
        await session.release()
    if session.closing:
        await session.closing  # returning now would close with 1000
    return socket


async def hear(channel):
    async for message in channel.listen():
        if message["type"] != "message":
            continue
        kind, session_id = message["data"].split(" ")[:2]
        if session := sessions.get(session_id):
            spawn(session.establish() if kind == "turn" else session.evict())


async def main():
    channel = store.pubsub()
    await channel.subscribe(CHANNEL + node)
    spawn(hear(channel))
    app = web.Application()
    app.router.add_get("/", connect)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
    await site.start()
    print(f"listening on 127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
