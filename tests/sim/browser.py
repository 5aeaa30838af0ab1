"""A browser's phone: it says where it is by names that lead nowhere, and has one WebSocket."""

import asyncio
from ssl import SSLContext

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from sipcore.message.flow import Flow, Hop
from sipcore.transport.base import Lost
from tests.sim.net import Net
from tests.sim.phone import Phone

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
