"""By which of our addresses a peer is reached, and what it is told of us."""

import asyncio

import pytest

from sipcore.message.flow import Flow
from sipcore.message.uri import Uri
from sipcore.transport.base import Lost
from sipcore.transport.networks import Insiders
from sipcore.transport.resolve import Resolver
from sipcore.transport.ways import Ways
from tests.sim.loop import simulate


class Listening:
    """A listening address that carries nothing."""

    def __init__(self, address: str, port: int = 5060, name: str = "udp") -> None:
        self.name, self.address, self.port = name, address, port

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None: ...

    def close(self) -> None: ...


class Routes(dict[str, str]):
    """The kernel's routes: which address it sends from, by destination."""

    def source(self, remote: str) -> str | None:
        return self.get(remote)


def _ways(routes: Routes, *addresses: str, insiders: Insiders | None = None) -> Ways:
    ways = Ways(Resolver(asyncio.get_running_loop()), insiders, routes.source)
    for address in addresses:
        ways.add(Listening(address), None)
    return ways


def _told(ways: Ways, remote: str) -> str:
    hop = ways.hop_at_once(Uri.parse(f"sip:{remote}"))
    assert hop is not None
    return hop.sent_by


def test_of_several_addresses_the_one_on_the_kernels_route_is_used_and_told() -> None:
    async def main() -> None:
        routes = Routes(
            {
                "10.9.0.1": "10.0.0.1",
                "198.51.100.1": "203.0.113.5",
                "10.8.0.1": "10.0.0.77",  # an address that we do not listen on
            }
        )
        ways = _ways(routes, "127.0.0.1", "10.0.0.1", "203.0.113.5")
        assert _told(ways, "10.9.0.1") == "10.0.0.1:5060"
        assert _told(ways, "198.51.100.1") == "203.0.113.5:5060"
        assert _told(ways, "10.8.0.1") == "10.0.0.1:5060", "the one nearest to it"
        assert _told(ways, "192.0.2.99") == "127.0.0.1:5060", "no route: the first"

    simulate(main())


def test_a_wildcard_takes_what_no_listed_address_is_for() -> None:
    async def main() -> None:
        routes = Routes({"10.9.0.1": "10.0.0.1", "198.51.100.1": "203.0.113.5"})
        ways = _ways(routes, "0.0.0.0", "10.0.0.1")
        assert _told(ways, "10.9.0.1") == "10.0.0.1:5060"
        hop = ways.hop_at_once(Uri.parse("sip:198.51.100.1"))
        assert hop is not None
        assert (hop.sent_by, hop.flow.local_address) == ("203.0.113.5:5060", "203.0.113.5")

    simulate(main())


def test_ways_are_found_anew_when_addresses_change() -> None:
    async def main() -> None:
        routes = Routes({"198.51.100.1": "10.0.0.1"})
        ways = _ways(routes, "0.0.0.0")
        flow = Flow("udp", "0.0.0.0", 5060, "198.51.100.1", 5060)
        assert _told(ways, "198.51.100.1") == ways.hop_by(flow).sent_by == "10.0.0.1:5060"
        routes["198.51.100.1"] = "10.0.0.2"
        assert _told(ways, "198.51.100.1") == "10.0.0.1:5060"
        ways.forget()
        assert _told(ways, "198.51.100.1") == ways.hop_by(flow).sent_by == "10.0.0.2:5060"

    simulate(main())


@pytest.mark.parametrize(
    ("networks", "advertised", "remote", "is_inside"),
    [
        ([], "sip.example", "10.1.1.1", True),
        ([], "203.0.113.7:5080", "192.168.1.1", True),
        ([], "[2001:db8::7]:5080", "fd00::1", True),
        ([], "203.0.113.7", "198.51.100.1", False),
        ([], "203.0.113.7", "100.64.0.1", False),  # a carrier's network
        ([], "192.168.1.10", "192.168.1.20", False),  # we are in a container
        ([], "sip.example", "no address", False),
        (["10.0.0.0/8", "fd00::/8"], "sip.example", "10.1.1.1", True),
        (["10.0.0.0/8", "fd00::/8"], "sip.example", "fd00::1", True),
        (["10.0.0.0/8", "fd00::/8"], "sip.example", "192.168.1.1", False),
    ],
)
def test_who_is_on_our_side_of_the_nat_is_told_our_real_address(
    networks: list[str], advertised: str, remote: str, is_inside: bool
) -> None:
    assert Insiders(networks).has(remote, advertised) is is_inside


def test_what_is_advertised_has_our_port_unless_it_names_one() -> None:
    async def main() -> None:
        for advertised, told in (
            ("sip.example", "sip.example:5060"),
            ("sip.example:5080", "sip.example:5080"),
            ("203.0.113.7", "203.0.113.7:5060"),
            ("2001:db8::7", "[2001:db8::7]:5060"),
            ("[2001:db8::7]", "[2001:db8::7]:5060"),
            ("[2001:db8::7]:5080", "[2001:db8::7]:5080"),
        ):
            ways = Ways(Resolver(asyncio.get_running_loop()))
            ways.add(Listening("10.0.0.1"), advertised)
            assert _told(ways, "198.51.100.1") == told

    simulate(main())
