"""The web process: one uvicorn over the socket that the supervisor opened."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import uvicorn
from msgspec import Struct

from sipcore.web.app import Site, create_app
from sipcore.web.page import Language

CONNECTIONS = 256
KEEP_ALIVE_S = 15
HEAD_BYTES = 16384


class WebSettings(Struct, frozen=True):
    """What the supervisor tells this process. `fd` listens already; `lifeline_fd` ends with it."""

    data: str
    fd: int
    lifeline_fd: int
    language: Language = "zh"


def run(settings: WebSettings) -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    config = uvicorn.Config(
        create_app(Site(Path(settings.data), settings.language)),
        loop="uvloop",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    server = uvicorn.Server(config)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn handles it, then raises it again
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, settings))


async def _serve(server: uvicorn.Server, settings: WebSettings) -> None:
    loop = asyncio.get_running_loop()

    def read_lifeline() -> None:
        if not os.read(settings.lifeline_fd, 4096):
            loop.remove_reader(settings.lifeline_fd)
            server.should_exit = True

    loop.add_reader(settings.lifeline_fd, read_lifeline)
    await server.serve(sockets=[socket.socket(fileno=settings.fd)])
