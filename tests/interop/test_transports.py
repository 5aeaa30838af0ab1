"""Calls over TLS and over WebSockets through a real node: scripted phones, real connections."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from sipcore.message.flow import Hop
from sipcore.message.uri import Uri
from sipcore.transport.stream import StreamTransport
from sipcore.transport.tls import Tls
from tests.interop.doors import Doors
from tests.interop.node import Node, Settings
from tests.interop.ports import HOST, Ports
from tests.interop.town import DESK, WORKSHOP
from tests.sim.browser import BrowserPhone
from tests.sim.net import Net
from tests.sim.phone import Phone


@pytest.fixture
def doors(tmp_path: Path, ports: Ports) -> Doors:
    return Doors(tmp_path, ports, asks_clients=True)


@pytest.fixture
def settings(doors: Doors) -> Settings:
    return doors.settings()


class TlsPhone(Phone):
    """A phone that nobody can connect to: its transport never accepts."""

    def __init__(self, net: Net, account: tuple[str, str], doors: Doors, scheme: str) -> None:
        super().__init__(net, ("10.0.9.8", 5060), *account)
        self._to = Uri.parse(
            f"sips:{HOST}:{doors.tls}"
            if scheme == "sips"
            else f"sip:{HOST}:{doors.tls};transport=tls"
        )
        opened = socket.socket()
        opened.bind((HOST, 0))
        tls = Tls([doors.authority.issue("phone.example")], ca=doors.authority.file)
        loop = asyncio.get_running_loop()
        self.tls = StreamTransport(loop, opened, self.endpoint.receive, tls)
        self.endpoint.add(self.tls)

    def hop(self, uri: str | None = None) -> Hop:
        hop = self.endpoint.hop_at_once(self._to)
        assert hop is not None
        return hop


async def call_both_ways(desk: Phone, workshop: Phone) -> None:
    """Register both, let each call the other; the caller hangs up, then the callee."""
    for phone in (desk, workshop):
        assert (await phone.register()).status == 200
    talk = desk.call(workshop.user)
    await talk.answered.wait()
    talk.hang_up()
    await workshop.calls[-1].ended.wait()
    back = workshop.call(desk.user)
    await back.answered.wait()
    desk.calls[-1].hang_up()
    await back.ended.wait()


@pytest.mark.parametrize("scheme", ["sip", "sips"])
async def test_phones_over_tls_and_wss_call_one_another(
    node: Node, doors: Doors, scheme: str
) -> None:
    net = Net()
    context = ssl.create_default_context(cafile=doors.authority.file)
    desk = TlsPhone(net, DESK[:2], doors, scheme)
    uri = f"wss://{HOST}:{doors.wss}/"
    workshop = BrowserPhone(net, WORKSHOP[:2], uri, context=context)
    try:
        async with asyncio.timeout(30):
            await call_both_ways(desk, workshop)
            assert len(desk.tls) == 1
            contact = workshop.calls[0].requests[0].headers["Contact"][0]
            assert contact == f"<sip:{HOST}:{doors.wss};transport=ws>"
            cdrs = await asyncio.to_thread(node.wait_for_cdrs, 2)
            assert [one["sip_status"] for one in cdrs] == [200, 200]
            rows = await asyncio.to_thread(node.show, "bindings")
            assert len(rows) == 2
    finally:
        desk.close()
        workshop.close()
        await workshop.browser.end()


async def test_a_browser_calls_and_is_called_over_ws(node: Node) -> None:
    net = Net()
    desk = BrowserPhone(net, DESK[:2], f"ws://{HOST}:{node.ws}/", 1)
    workshop = BrowserPhone(net, WORKSHOP[:2], f"ws://{HOST}:{node.ws}/", 2)
    try:
        async with asyncio.timeout(30):
            await call_both_ways(desk, workshop)
            cdrs = await asyncio.to_thread(node.wait_for_cdrs, 2)
            assert [one["sip_status"] for one in cdrs] == [200, 200]
    finally:
        for phone in (desk, workshop):
            phone.close()
            await phone.browser.end()
