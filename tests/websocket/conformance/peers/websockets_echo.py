"""python3-websockets as an end under test: `listen` prints its port; `connect PORT` dials until nobody listens."""

import asyncio
import logging
import sys

import websockets

SETTINGS = {"compression": None, "max_size": 1114112, "ping_interval": None, "close_timeout": 2}
logging.getLogger("websockets").setLevel(logging.CRITICAL)


async def echo(socket, _path=None) -> None:
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass


async def listen() -> None:
    async with websockets.serve(echo, "127.0.0.1", 0, **SETTINGS) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def connect(port: str) -> None:
    while True:
        try:
            async with websockets.connect(f"ws://127.0.0.1:{port}/stt", subprotocols=["stt.v1"], **SETTINGS) as socket:
                await echo(socket)
        except ConnectionRefusedError:
            return
        except (OSError, EOFError, websockets.WebSocketException):
            pass


asyncio.run(listen() if sys.argv[1] == "listen" else connect(sys.argv[2]))
