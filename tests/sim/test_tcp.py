"""A phone behind a firewall: it registers over TCP and is called down the same connection. Real
sockets on loopback, for connections are what this is about; the rest of the node is the same."""

import asyncio
import socket
from pathlib import Path

from sipcore.message.flow import GONE, Hop
from sipcore.message.uri import Uri
from sipcore.store.bindings import Binding
from sipcore.transport.stream import StreamTransport
from tests.sim.loop import simulate
from tests.sim.net import Net
from tests.sim.phone import Phone
from tests.sim.world import World, world


def _listener() -> socket.socket:
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    opened.setblocking(False)
    return opened


class TcpPhone(Phone):
    """A phone that nobody can connect to: its transport never accepts."""

    def __init__(self, net: Net, user: str, password: str, port: int) -> None:
        super().__init__(net, ("10.0.9.9", 5060), user, password)
        self._port = port
        loop = asyncio.get_running_loop()
        self.tcp = StreamTransport(loop, _listener(), self.endpoint.receive)
        self.endpoint.add(self.tcp)

    def hop(self, uri: str | None = None) -> Hop:
        hop = self.endpoint.hop_at_once(Uri.parse(f"sip:127.0.0.1:{self._port};transport=tcp"))
        assert hop is not None
        return hop


async def _tcp_port(here: World) -> int:
    """Let the node listen on TCP too."""
    loop = asyncio.get_running_loop()
    stream = StreamTransport(loop, _listener(), here.node.endpoint.receive)
    await stream.start()
    here.node.listen(stream)
    port: int = stream.port
    return port


async def test_a_phone_is_called_down_the_connection_that_it_registered_over(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(20), world(tmp_path) as here:
        phone = TcpPhone(here.net, "8002", "workshop-8002", await _tcp_port(here))
        try:
            assert (await phone.register()).status == 200
            (binding,) = here.node.registrar.all()
            assert binding.transport == "tcp"
            assert f":{phone.tcp.port}" in binding.contact, "where nobody listens"
            caller = await here.desk_phone()
            talk = caller.call("8002")
            await talk.answered.wait()
            assert len(phone.tcp) == 1
            talk.hang_up()
            await phone.calls[0].ended.wait()
        finally:
            phone.close()


async def test_a_contact_whose_connection_has_gone_is_not_looked_for_at_another_of_its_port(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(20), world(tmp_path) as here:
        registrar = here.node.registrar
        phone = TcpPhone(here.net, "8002", "workshop-8002", await _tcp_port(here))
        assert (await phone.register()).status == 200
        (reach,) = registrar.ways_to("acme", "8002")
        assert reach.hop.flow.connection > 0, "its own"
        phone.close()
        while not here.node.endpoint.is_dead(reach.hop.flow):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)
        (anew,) = registrar.ways_to("acme", "8002")
        assert anew.hop.flow.connection == GONE, "a new one to its Contact, or nothing"
        caller = await here.desk_phone()
        talk = caller.call("8002")
        await talk.ended.wait()
        assert talk.status >= 480


def test_a_connection_is_of_one_process_and_its_binding_knows(tmp_path: Path) -> None:
    behind_nat = "sip:8001@192.168.1.7:49152;transport=tcp"

    async def main() -> None:
        async with world(tmp_path) as here:
            flow = ("tcp", "10.0.0.1", 5060, "8.8.8.8", 49152)
            for connection in (7, GONE):
                one = Binding(
                    "acme", "8001", behind_nat, "", *flow,
                    expires_at=here.clock.wall_s() + 600, connection=connection,
                )  # fmt: skip
                here.node.registrar.restore([one])
                assert here.node.registrar.ways_to("acme", "8001") == []

    simulate(main())
