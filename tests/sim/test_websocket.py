"""A browser's phone: it says where it is by names that lead nowhere, and is called down its
WebSocket alone. Real sockets on loopback; the rest of the node is the same."""

import asyncio
import socket
from pathlib import Path
from ssl import SSLContext

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from sipcore.message.flow import Flow, Hop
from sipcore.transport.base import Lost
from sipcore.transport.websocket import WebSocketTransport
from tests.sim.net import Net
from tests.sim.phone import Phone
from tests.sim.test_counts import counts
from tests.sim.world import World, world

SIP = Subprotocol("sip")


class Browser:
    """A page's end of one WebSocket, as sipcore.transport.base has it."""

    name = "ws"
    address, port = "192.0.2.2", 1

    def __init__(self, phone: Phone, uri: str, context: SSLContext | None) -> None:
        self.flow = Flow("ws", self.address, self.port, "192.0.2.1", 443, 1)
        self._context = context
        self._phone = phone
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._task = asyncio.create_task(self._live(uri))

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self._out.put_nowait(data)

    def close(self) -> None:
        self._task.cancel()

    async def end(self) -> None:
        """Close, and wait until the connection is over."""
        self.close()
        await asyncio.wait([self._task])

    async def _live(self, uri: str) -> None:
        asking = connect(uri, subprotocols=[SIP], proxy=None, ssl=self._context)
        async with asking as here:
            speaking = asyncio.create_task(self._speak(here.send))
            try:
                async for message in here:
                    assert isinstance(message, str)
                    self._phone.endpoint.receive(message.encode(), self.flow)
            finally:
                speaking.cancel()

    async def _speak(self, send: object) -> None:
        assert callable(send)
        while True:
            try:
                await send((await self._out.get()).decode())
            except ConnectionClosed:
                return


class BrowserPhone(Phone):
    """A phone as JsSIP is one: `.invalid` in Via and Contact."""

    def __init__(
        self,
        net: Net,
        account: tuple[str, str],
        uri: str,
        page: int = 1,
        context: SSLContext | None = None,
    ) -> None:
        super().__init__(net, ("10.0.9.9", 5060 + page), *account)
        self._page = page
        self.browser = Browser(self, uri, context)
        self.endpoint.add(self.browser)

    def hop(self, uri: str | None = None) -> Hop:
        return Hop(self.browser.flow, f"page{self._page}.invalid")


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
