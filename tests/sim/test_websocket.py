"""A browser's phone: it says where it is by names that lead nowhere, and is called down its
WebSocket alone. Real sockets on loopback; the rest of the node is the same."""

import asyncio
import socket
from pathlib import Path

from sipcore.transport.websocket import WebSocketTransport
from tests.sim.browser import BrowserPhone
from tests.sim.counting import counts
from tests.sim.world import World, world

WORKSHOP = ("8002", "workshop-8002")


def _uri(web: WebSocketTransport) -> str:
    return f"ws://127.0.0.1:{web.port}/"


async def _open(here: World) -> WebSocketTransport:
    """Let the node listen for WebSockets too."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    web = WebSocketTransport(loop, listener, here.node.endpoint.receive)
    await web.start()
    here.node.listen(web)
    return web


async def test_a_browser_calls_and_is_called_down_its_connection(tmp_path: Path) -> None:
    async with asyncio.timeout(20), world(tmp_path) as here:
        web = await _open(here)
        phone = BrowserPhone(here.net, WORKSHOP, _uri(web))
        try:
            assert (await phone.register()).status == 200
            (binding,) = here.node.registrar.all()
            assert (binding.transport, binding.contact) == (
                "ws",
                "sip:8002@page1.invalid;transport=ws",
            )
            desk = await here.desk_phone()
            talk = desk.call("8002")
            await talk.answered.wait()
            invite = phone.calls[0].requests[0]
            assert invite.via.transport == "WS"
            assert ";transport=ws>" in invite.headers["Contact"][0]
            talk.hang_up()
            await phone.calls[0].ended.wait()
            back = phone.call("8001")
            await back.answered.wait()
            desk.calls[-1].hang_up()
            await back.ended.wait()
            assert len(web) == 1
            seen = await counts(here)
            assert seen["sipcore_connections{transport=ws}"] == 1
            assert seen["sipcore_connections_ended_total{transport=ws,reason=slow}"] == 0
        finally:
            phone.close()


async def test_a_page_that_is_closed_takes_its_contact_with_it(tmp_path: Path) -> None:
    async with asyncio.timeout(20), world(tmp_path) as here:
        web = await _open(here)
        desk = await here.desk_phone()
        for page in range(7):  # more than limits.contacts_per_extension
            phone = BrowserPhone(here.net, WORKSHOP, _uri(web), page)
            assert (await phone.register()).status == 200
            phone.close()
            while len(web):  # noqa: ASYNC110 - the kernel has no event
                await asyncio.sleep(0)
        talk = desk.call("8002")
        await talk.ended.wait()
        assert talk.status == 480
