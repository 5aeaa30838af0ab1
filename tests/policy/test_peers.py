"""Peers by address: the most specific entry wins, one with a port most of all."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.policy.peers import Peers, parse_peer_address

ENTRIES = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "10.1.2.3:5070",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:db8::1/128",
    "[2001:db8::1]:5061",
]
PEERS = Peers([(parse_peer_address(entry), entry) for entry in ENTRIES])


@pytest.mark.parametrize(
    ("address", "port", "found"),
    [
        ("10.1.2.3", 5070, "10.1.2.3:5070"),
        ("10.1.2.3", 5060, "10.1.2.3/32"),
        ("10.1.2.4", 5070, "10.1.0.0/16"),
        ("10.2.0.1", 5060, "10.0.0.0/8"),
        ("192.0.2.1", 5060, "0.0.0.0/0"),
        ("::ffff:10.1.2.3", 5070, "10.1.2.3:5070"),  # a dual-stack socket shows IPv4 so
        ("2001:db8::1", 5061, "[2001:db8::1]:5061"),
        ("2001:db8::1", 5060, "2001:db8::1/128"),
        ("2001:db8:1::", 5060, "2001:db8::/32"),
        ("2001:db9::", 5060, None),
    ],
)
def test_the_most_specific_entry_wins(address: str, port: int, found: str | None) -> None:
    assert PEERS.find(address, port) == found


@pytest.mark.parametrize(
    "entry",
    ["", "10.0.0.1", "10.0.0.1/33", "10.0.0.1/24", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:",
     "10.0.0.1:sip", "host.example:5060", ":5060", "2001:db8::1", "2001:db8::1:5060", "[::1]",
     "[::1]:", "10.0.0.1:٥"],
)  # fmt: skip
def test_a_wrong_entry_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_peer_address(entry)


def test_what_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="host"):
        PEERS.find("host.example", 5060)


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda drawn: str(ip_network((drawn[0], drawn[1]), strict=False))
)


@given(st.lists(networks, max_size=8), st.integers(0, 2**32 - 1))
def test_it_agrees_with_brute_force(entries: list[str], value: int) -> None:
    address = ip_address(value)
    fitting = [ip_network(entry) for entry in entries if address in ip_network(entry)]
    expected = max(fitting, key=lambda one: one.prefixlen) if fitting else None
    peers = Peers([(parse_peer_address(entry), ip_network(entry)) for entry in entries])
    assert peers.find(str(address), 5060) == expected


def test_a_network_is_listed_where_an_entry_has_an_address_in_it() -> None:
    entries = ("[2001:db8:1::5]:5060", "2001:db8:2::/48", "2001:db8:3:4:5::/80", "192.0.2.0/24")
    peers = Peers([(parse_peer_address(one), one) for one in entries])
    listed = ("2001:db8:1::/64", "2001:db8:2:7::/64", "2001:db8:3:4::/64")
    assert all(peers.has(one) for one in listed)
    assert not any(peers.has(one) for one in ("2001:db8:1:1::/64", "2001:db8:3:5::/64"))
