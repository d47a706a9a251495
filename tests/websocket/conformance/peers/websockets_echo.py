"""python3-websockets as an end under test: `listen` prints its port; `connect PORT` dials until nobody listens; `send PORT`
fails unless an echo there gives every message back."""

import asyncio
import logging
import os
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


async def send(port: str) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{port}/stt", subprotocols=["stt.v1"], **SETTINGS) as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1000000):
            data = os.urandom(size)
            await socket.send([data[:size // 2], data[size // 2:]])
            assert await socket.recv() == data, size
        await socket.send("\u00e4\u20ac")
        assert await socket.recv() == "\u00e4\u20ac"
    assert socket.close_code == 1000


VERBS = {"listen": listen, "connect": connect, "send": send}
asyncio.run(VERBS[sys.argv[1]](*sys.argv[2:]))
