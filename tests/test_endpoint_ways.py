"""By which of an endpoint's addresses a message leaves, and how we name ourselves there."""

import pytest

from sipcore.message.flow import Flow
from sipcore.message.uri import Uri
from sipcore.transport.networks import source_address
from tests.dialog.lab import heard
from tests.shell import Shell, Wire
from tests.sim.loop import simulate

MANY = (
    ("10.0.0.1", 5060, "udp"), ("10.0.0.9", 5060, "udp"), ("2001:db8::1", 5060, "udp"),
    ("10.0.0.9", 5070, "udp"), ("10.0.0.1", 5060, "tcp"), ("10.0.0.9", 5060, "tcp"),
)  # fmt: skip


@pytest.mark.parametrize(("address", "port", "transport"), MANY)
def test_an_answer_leaves_by_the_address_that_the_request_came_to(
    address: str, port: int, transport: str
) -> None:
    async def main() -> None:
        shell = Shell(*(Wire(*place) for place in MANY))
        remote = "2001:db8::2" if ":" in address else "10.0.0.2"
        flow = Flow(transport, address, port, remote, 5060, int(transport == "tcp"))
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        used = [(w.address, w.port, w.name) for w in shell.wires if w.sent]
        assert used == [(address, port, transport)]
        assert shell.endpoint.hop_by(flow).sent_by.rpartition(":")[2] == str(port)

    simulate(main())


@pytest.mark.parametrize(("local", "remote", "wire"), [
    ("192.0.2.1", "192.0.2.2", "0.0.0.0"), ("2001:db8::1", "2001:db8::2", "::"),
])  # fmt: skip
def test_a_wildcard_serves_its_own_family(local: str, remote: str, wire: str) -> None:
    async def main() -> None:
        shell = Shell(Wire("0.0.0.0"), Wire("::"))
        flow = Flow("udp", local, 5060, remote, 5060)
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        assert [one.address for one in shell.wires if one.sent] == [wire]

    simulate(main())


def test_what_came_to_an_address_of_before_leaves_by_one_of_its_family() -> None:
    async def main() -> None:
        shell = Shell(Wire("2001:db8::1"), Wire("10.0.0.1"))
        flow = Flow("udp", "10.9.9.9", 5060, "10.0.0.2", 5060)
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        assert [one.address for one in shell.wires if one.sent] == ["10.0.0.1"]

    simulate(main())


def test_a_connection_that_we_opened_is_named_by_the_port_we_listen_on() -> None:
    async def main() -> None:
        shell = Shell(Wire("10.0.0.1", 5060, "tcp"))
        opened = Flow("tcp", "10.0.0.1", 43210, "10.0.0.2", 5060, 3)
        assert shell.endpoint.hop_by(opened).sent_by == "10.0.0.1:5060"
        elsewhere = Flow("tcp", "10.9.9.9", 43210, "10.0.0.2", 5060, 3)
        assert shell.endpoint.hop_by(elsewhere).sent_by == "10.9.9.9:43210"

    simulate(main())


def test_peers_outside_are_told_the_advertised_name() -> None:
    async def main() -> None:
        shell = Shell(Wire("10.0.0.5"))
        shell.endpoint.add(Wire("10.0.0.1"), "sip.example")
        shell.endpoint.add(Wire("10.0.0.1", 5070), "sip.example:15070")
        for port, name in ((5060, "sip.example:5060"), (5070, "sip.example:15070")):
            flow = Flow("udp", "10.0.0.1", port, "198.51.100.2", 5060)
            assert shell.endpoint.hop_by(flow).sent_by == name
            inside = Flow("udp", "10.0.0.1", port, "10.0.0.2", 5060)
            assert shell.endpoint.hop_by(inside).sent_by == f"10.0.0.1:{port}"

    simulate(main())


def test_the_way_to_a_uri_is_of_its_family_and_transport_or_there_is_none() -> None:
    async def main() -> None:
        endpoint = Shell(Wire(), Wire("2001:db8::1"), Wire(port=5070, name="tcp")).endpoint
        for text, local in (
            ("sip:10.0.0.2", "udp 10.0.0.1:5060"),
            ("sip:[2001:db8::2]", "udp 2001:db8::1:5060"),
            ("sip:10.0.0.2;transport=tcp", "tcp 10.0.0.1:5070"),
        ):
            for _ in range(2):
                hop = await endpoint.hop_to(Uri.parse(text))
                assert hop is not None
                flow = hop.flow
                assert f"{flow.transport} {flow.local_address}:{flow.local_port}" == local
        for text in ("sip:10.0.0.2;transport=sctp", "sip:[::2];transport=tcp", "tel:1"):
            assert endpoint.hop_at_once(Uri.parse(text)) is None
            assert await endpoint.hop_to(Uri.parse(text)) is None

    simulate(main())


def test_a_wildcard_is_named_by_the_address_that_the_kernel_would_use() -> None:
    async def main() -> None:
        endpoint = Shell(Wire("0.0.0.0")).endpoint
        hop = endpoint.hop_at_once(Uri.parse("sip:127.0.0.1"))
        assert hop is not None
        assert hop.sent_by == "127.0.0.1:5060"
        assert source_address("::1") == "::1"
        assert source_address("not an address") is None

    simulate(main())


def test_an_answer_of_a_wildcard_names_an_address_that_the_peer_can_reach() -> None:
    async def main() -> None:
        shell = Shell(Wire("0.0.0.0"))
        came = Flow("udp", "0.0.0.0", 5060, "127.0.0.1", 5061)
        assert shell.endpoint.hop_by(came).sent_by == "127.0.0.1:5060"

    simulate(main())
