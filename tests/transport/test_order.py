"""Where a URI leads: RFC 3263's questions, RFC 2782's order, for every shape of answer."""

from collections import Counter
from collections.abc import Mapping
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from sipcore.message.uri import Uri
from sipcore.transport.order import (
    MOST_PLACES,
    Means,
    Naptr,
    Place,
    Question,
    Records,
    Srv,
    locate,
    order_srv,
    target_of,
)

BOTH = Means(("udp", "tcp", "tls"), ("A", "AAAA"))
Zone = Mapping[tuple[str, str], Records]


def found(text: str, zone: Zone, means: Means = BOTH) -> list[Place]:
    """Let a zone answer; return the places."""
    target = target_of(Uri.parse(text))
    assert target is not None
    asking = locate(target, means, lambda: 0.0)
    try:
        questions = next(asking)
        while True:
            questions = asking.send([zone.get((one.kind, one.name), ()) for one in questions])
    except StopIteration as done:
        places: list[Place] = done.value
        return places


def places(text: str, zone: Zone, means: Means = BOTH) -> list[str]:
    """Return the places as text."""
    return [f"{one.transport} {one.address} {one.port}" for one in found(text, zone, means)]


ADDRESSES: Zone = {("A", "a.example"): ("192.0.2.1",), ("AAAA", "a.example"): ("2001:db8::1",)}


def test_a_name_without_srv_is_called_at_its_addresses_and_the_default_port() -> None:
    assert places("sip:a.example", ADDRESSES) == ["udp 192.0.2.1 5060", "udp 2001:db8::1 5060"]
    assert places("sips:A.Example", ADDRESSES) == ["tls 192.0.2.1 5061", "tls 2001:db8::1 5061"]
    assert places("sip:a.example;transport=TCP", ADDRESSES)[0] == "tcp 192.0.2.1 5060"
    assert places("sip:a.example;transport=tls", ADDRESSES)[0] == "tls 192.0.2.1 5061"
    assert places("sips:a.example;transport=tcp", ADDRESSES)[0] == "tls 192.0.2.1 5061"
    assert places("sip:b.example;maddr=a.example", ADDRESSES)[0] == "udp 192.0.2.1 5060"
    assert places("sip:nobody.example", ADDRESSES) == []


def test_the_family_that_the_node_listens_on_first_is_tried_first() -> None:
    six_first = Means(("udp",), ("AAAA", "A"))
    assert places("sip:a.example", ADDRESSES, six_first) == [
        "udp 2001:db8::1 5060",
        "udp 192.0.2.1 5060",
    ]
    assert places("sip:a.example", ADDRESSES, Means(("udp",), ("A",))) == ["udp 192.0.2.1 5060"]
    assert places("sip:a.example", ADDRESSES, Means()) == []


def test_a_port_says_that_srv_is_not_asked_for() -> None:
    zone = {**ADDRESSES, ("SRV", "_sip._udp.a.example"): (Srv(1, 1, 5080, "a.example"),)}
    assert places("sip:a.example:5070", zone)[0] == "udp 192.0.2.1 5070"
    assert places("sip:a.example", zone)[0] == "udp 192.0.2.1 5080"


def test_srv_is_asked_for_each_transport_that_the_node_has_or_the_one_that_is_named() -> None:
    zone = {
        **ADDRESSES,
        ("SRV", "_sip._tcp.a.example"): (Srv(1, 1, 5071, "a.example"),),
        ("SRV", "_sips._tcp.a.example"): (Srv(1, 1, 5072, "a.example"),),
    }
    assert [one.split()[::2] for one in places("sip:a.example", zone)] == [
        ["tcp", "5071"],
        ["tcp", "5071"],
        ["tls", "5072"],
        ["tls", "5072"],
    ]
    assert places("sip:a.example;transport=tcp", zone)[0] == "tcp 192.0.2.1 5071"
    assert places("sips:a.example", zone)[0] == "tls 192.0.2.1 5072"
    assert places("sip:a.example", zone, Means(("udp",), ("A",))) == ["udp 192.0.2.1 5060"]


def test_naptr_chooses_transport_and_srv_name_and_what_the_node_lacks_is_passed_over() -> None:
    zone = {
        **ADDRESSES,
        ("NAPTR", "a.example"): (
            Naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.b.example"),
            Naptr(90, 20, "S", "sip+d2u", "_sip._udp.B.example"),
            Naptr(90, 10, "s", "SIP+D2T", "_sip._tcp.b.example"),
            Naptr(10, 10, "u", "E2U+sip", ""),
            Naptr(10, 10, "s", "SIP+D2S", "_sip._sctp.b.example"),
        ),
        ("SRV", "_sip._udp.b.example"): (Srv(1, 1, 5081, "a.example"),),
        ("SRV", "_sip._tcp.b.example"): (Srv(1, 1, 5082, "a.example"),),
        ("SRV", "_sips._tcp.b.example"): (Srv(1, 1, 5083, "a.example"),),
    }
    four = Means(("udp", "tcp", "tls"), ("A",))
    assert places("sip:a.example", zone, four) == [
        "tls 192.0.2.1 5083",
        "tcp 192.0.2.1 5082",
        "udp 192.0.2.1 5081",
    ]
    assert places("sips:a.example", zone, four) == ["tls 192.0.2.1 5083"]
    assert places("sip:a.example", zone, Means(("udp",), ("A",))) == ["udp 192.0.2.1 5081"]


def test_a_service_that_is_said_not_to_be_there_is_not_looked_for_elsewhere() -> None:
    zone = {**ADDRESSES, ("SRV", "_sip._udp.a.example"): (Srv(0, 0, 0, ""),)}
    assert places("sip:a.example;transport=udp", zone) == []


def test_what_leads_nowhere_is_no_target() -> None:
    for text in ("tel:+86", "urn:service:sos", "sips:a.example;transport=udp"):
        assert target_of(Uri.parse(text)) is None


def test_a_certificate_must_prove_the_uris_own_domain_wherever_srv_leads() -> None:  # RFC 5922 4
    zone: Zone = {
        ("SRV", "_sips._tcp.a.example"): (Srv(1, 1, 5, "b.example"),),
        ("A", "b.example"): ("192.0.2.1",),
    }
    assert found("sips:A.example", zone) == [Place("tls", "192.0.2.1", 5, "a.example")]
    assert found("sip:b.example", zone) == [Place("udp", "192.0.2.1", 5060)]


def test_weights_decide_how_often_a_server_comes_first() -> None:  # RFC 2782
    records = [
        Srv(1, 60, 1, "much"),
        Srv(1, 20, 1, "some"),
        Srv(1, 20, 1, "more"),
        Srv(1, 0, 1, "no"),
    ]
    firsts = Counter(
        order_srv(records, cycle([step / 1010]).__next__)[0].target for step in range(1010)
    )
    assert abs(firsts["much"] - 600) < 10
    assert abs(firsts["some"] - 200) < 10
    assert abs(firsts["more"] - 200) < 10
    assert 5 <= firsts["no"] <= 15, "a server without weight is chosen, but hardly ever"


SERVERS = st.lists(
    st.builds(
        Srv,
        st.integers(0, 3),
        st.integers(0, 65535),
        st.integers(1, 65535),
        st.sampled_from(["a.example", "b.example", "c.example", ""]),
    ),
    max_size=20,
)
FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(SERVERS, st.lists(FRACTIONS, min_size=1))
def test_every_server_stands_once_and_none_before_a_better_priority(
    records: list[Srv], fractions: list[float]
) -> None:
    ordered = order_srv(records, cycle(fractions).__next__)
    assert sorted(map(repr, ordered)) == sorted(map(repr, records))
    priorities = [one.priority for one in ordered]
    assert priorities == sorted(priorities)


ANY_RECORD = st.one_of(
    st.sampled_from(["192.0.2.1", "2001:db8::1"]),
    SERVERS.filter(bool).map(lambda some: some[0]),
    st.builds(
        Naptr,
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["s", "u", ""]),
        st.sampled_from(["SIP+D2U", "SIPS+D2T", "x"]),
        st.sampled_from(["_sip._udp.b.example", "b.example", ""]),
    ),
)


@given(
    st.sampled_from(["sip:a.example", "sips:a.example", "sip:a.example:1;transport=tcp"]),
    st.lists(st.lists(ANY_RECORD, max_size=20), min_size=1),
    FRACTIONS,
)
def test_whatever_is_answered_the_questions_end_and_the_places_are_few_and_different(
    text: str, answers: list[list[str | Srv | Naptr]], fraction: float
) -> None:
    target = target_of(Uri.parse(text))
    assert target is not None
    asking, left = locate(target, BOTH, lambda: fraction), cycle(answers)
    rounds = 0
    try:
        questions = next(asking)
        while True:
            rounds += 1
            questions = asking.send([tuple(next(left)) for _ in questions])
            assert all(isinstance(one, Question) for one in questions)
    except StopIteration as done:
        last = done.value
    assert rounds <= 3
    assert len(last) == len(set(last)) <= MOST_PLACES
