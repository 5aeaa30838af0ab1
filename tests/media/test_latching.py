"""Who may speak: strict source, latching, moving on, and never into another call."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.media.control import FirstPacket
from tests.media.net import Bench, describe, rtp

A, B = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
PORTS = (10000, 10002)


def opened(*, names_all: bool = False) -> Bench:
    bench = Bench(names_all=names_all)
    bench.open("one", A, B, PORTS)
    return bench


def test_packets_cross_unchanged() -> None:
    bench = opened()
    packet = bench.speak(A, 10000)
    assert bench.heard(10002) == [(B, packet)]
    packet = bench.speak(B, 10002)
    assert bench.heard(10000) == [(A, packet)]


def test_first_packet_is_told_once_a_leg() -> None:
    bench = opened()
    for _ in range(3):
        bench.speak(A, 10000)
    bench.speak(B, 10002)
    assert bench.events() == [FirstPacket("one", "a"), FirstPacket("one", "b")]


def test_the_port_is_learnt_and_answered() -> None:
    bench = opened()
    bench.speak((A[0], 61000), 10000)  # behind NAT
    bench.heard(10002)
    packet = bench.speak(B, 10002)
    assert bench.heard(10000) == [((A[0], 61000), packet)]


def test_the_signalling_source_may_speak() -> None:
    bench = Bench()
    bench.open("one", ("10.0.0.7", 4000), B, PORTS, sources=("203.0.113.9",))
    packet = bench.speak(("203.0.113.9", 7777), 10000)
    assert bench.heard(10002) == [(B, packet)]


def test_a_foreign_source_is_counted_and_goes_nowhere() -> None:
    bench = opened()
    bench.speak(("203.0.113.66", 4000), 10000)
    assert bench.heard(10002) == []
    state = bench.state("one")[0]
    assert (state.foreign, state.packets, state.is_latched) == (1, 0, False)


def test_after_latching_another_port_of_the_same_host_is_foreign() -> None:
    for names_all in (False, True):
        bench = opened(names_all=names_all)
        bench.speak(A, 10000)
        bench.heard(10002)
        bench.speak((A[0], 4002), 10000)
        assert bench.heard(10002) == []
        assert bench.state("one")[0].foreign + bench.wire.refused == 1


def test_within_one_batch_the_first_source_wins() -> None:
    bench = opened()
    for source in (("203.0.113.66", 1), (A[0], 4008), A):
        bench.wire.deliver(source, 10000, rtp(1, ssrc=source[1]))
    bench.run()
    assert [packet for _, packet in bench.heard(10002)] == [rtp(1, ssrc=4008)]
    assert bench.state("one")[0].foreign == 2


def test_nothing_is_relayed_before_the_description() -> None:
    bench = Bench()
    bench.open("one", A, None, PORTS)
    bench.speak(A, 10000)
    bench.speak(B, 10002)
    assert bench.wire.take_sent() == []
    bench.update("one", describe(1, B))
    packet = bench.speak(A, 10000)
    assert bench.heard(10002) == [(B, packet)]


def test_a_new_description_latches_anew_and_shuts_the_old_port_out() -> None:
    bench = opened()
    bench.speak(A, 10000)
    moved = (A[0], 4100)
    bench.update("one", describe(0, moved))
    bench.heard(10002)
    bench.speak(A, 10000)  # still under way
    assert bench.heard(10002) == []
    packet = bench.speak(moved, 10000)
    assert bench.heard(10002) == [(B, packet)]
    packet = bench.speak(B, 10002)
    assert bench.heard(10000) == [(moved, packet)]


def test_the_same_description_again_changes_nothing() -> None:
    bench = opened()
    learnt = (A[0], 61000)
    bench.speak(learnt, 10000)
    bench.update("one", describe(0, A))
    assert bench.state("one")[0].is_latched
    packet = bench.speak(learnt, 10000)
    assert bench.heard(10002)[-1] == (B, packet)


def test_a_silent_leg_may_come_back_from_another_port_of_its_host_only() -> None:
    bench = opened()
    bench.speak(A, 10000)
    bench.heard(10002)
    bench.wait(0.7)
    assert bench.state("one")[0].is_latched
    bench.wait(0.8)
    assert not bench.state("one")[0].is_latched
    packet = bench.speak(B, 10002)
    assert bench.heard(10000) == [(A, packet)]  # still sent where it last was
    bench.speak(("203.0.113.66", 4000), 10000)
    assert bench.heard(10002) == []
    packet = bench.speak((A[0], 4500), 10000)
    assert bench.heard(10002) == [(B, packet)]


def test_a_held_side_is_sent_nothing_but_may_speak() -> None:
    bench = opened()
    bench.update("one", describe(0, ("", 4000), sources=(A[0],)))
    bench.speak(B, 10002)
    assert bench.heard(10000) == []
    packet = bench.speak(A, 10000)
    assert bench.heard(10002) == [(B, packet)]


def test_an_address_of_the_other_family_or_none_is_never_sent_to() -> None:
    for address in ("2001:db8::1", "phone.example", "999.1.1.1", ""):
        bench = Bench()
        bench.open("one", (address, 4000), B, PORTS)
        bench.speak(B, 10002)
        assert bench.heard(10000) == []


def test_closed_streams_neither_hear_nor_speak_and_leave_no_address() -> None:
    bench = opened()
    bench.speak(A, 10000)
    bench.close("one")
    bench.wire.take_sent()
    bench.speak(A, 10000)
    assert bench.wire.take_sent() == []
    assert len(bench.wire.addresses) == 0
    assert len(bench.engine.streams) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "close", "speak", "wait"]),
            st.integers(0, 3),  # which call
            st.integers(0, 5),  # which host
            st.integers(0, 3),  # which port
            st.integers(0, 2),  # which SSRC
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_no_packet_of_one_call_ever_leaves_on_another(
    steps: list[tuple[str, int, int, int, int]], names_all: bool
) -> None:
    """Hosts 2n and 2n+1 belong to call n; 4 and 5 to nobody. Ports are used again and again."""
    bench = Bench(names_all=names_all)
    hosts = [(f"198.51.100.{n}", 4000 + n) for n in range(6)]
    ports: dict[int, tuple[int, int]] = {}
    for verb, number, host, port, ssrc in steps:
        call = number % 2
        pair = (10000 + 4 * port, 10002 + 4 * port)
        if verb == "open" and call not in ports and pair not in ports.values():
            bench.open(str(call), hosts[2 * call], hosts[2 * call + 1], pair)
            ports[call] = pair
        elif verb == "close" and call in ports:
            del ports[call]
            bench.close(str(call))
        elif verb == "wait":
            bench.wait(0.6)
        elif verb == "speak":
            bench.wire.take_sent()
            packet = bench.speak(hosts[host], 10000 + 2 * number + 4 * (port % 2), ssrc=ssrc)
            for left, remote, sent in bench.wire.take_sent():
                if sent != packet:
                    continue
                owner = next(one for one, pair in ports.items() if left in pair)
                assert hosts.index(remote) // 2 == owner
                assert host // 2 == owner
