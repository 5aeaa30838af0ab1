"""Which peers get large requests over TCP."""

import asyncio
import socket

import pytest

from sipcore.message.flow import Flow, Hop, OverMtu
from sipcore.transport.detours import TcpDetours
from sipcore.transport.resolve import Resolver
from sipcore.transport.stream import StreamTransport
from sipcore.transport.ways import Ways
from tests.transport.conftest import Run


async def _stream(ways: Ways) -> StreamTransport:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    made = StreamTransport(asyncio.get_running_loop(), sock, lambda data, flow: None)
    await made.start()
    ways.add(made, None)
    return made


def _to(port: int) -> Hop:
    return Hop(Flow("udp", "127.0.0.1", 5060, "127.0.0.1", port), "127.0.0.1:5060")


def test_a_peer_gets_tcp_once_it_took_a_connection_until_that_fails(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ways = Ways(Resolver(loop))
        mine, theirs = await _stream(ways), await _stream(Ways(Resolver(loop)))
        detours, hop = TcpDetours(ways, loop.time), _to(theirs.port)
        assert detours.of(hop.flow) is None, "nobody knows whether it takes TCP"
        taken = asyncio.Event()
        theirs.receive = lambda data, flow: taken.set()
        to = Flow("tcp", "127.0.0.1", mine.port, "127.0.0.1", theirs.port)
        mine.send(b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n", to)
        await taken.wait()
        over_tcp = detours.of(hop.flow)
        assert over_tcp is not None
        assert over_tcp.flow == to
        detours.failed(over_tcp)
        assert detours.of(hop.flow) is None, "it is left alone for a while"
        theirs.close()
        ways.close()

    run(main())


@pytest.mark.parametrize(("policy", "is_tried"), [("auto", False), ("udp", False), ("tcp", True)])
def test_a_peers_own_rule_goes_first(run: Run, policy: OverMtu, is_tried: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ways = Ways(Resolver(loop))
        await _stream(ways)
        detours, hop = TcpDetours(ways, loop.time), _to(5999)
        detours.set(hop, policy)
        assert (detours.of(hop.flow) is not None) is is_tried
        detours.set(hop, "auto")
        assert detours.of(hop.flow) is None
        ways.close()
        detours.set(hop, "tcp")
        assert detours.of(hop.flow) is None, "we do not listen on TCP"

    run(main())
