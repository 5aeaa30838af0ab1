"""Ports: pairs, random, rested."""

import pytest

from sipcore.errors import MediaError
from sipcore.media.wire.ports import ASIDE_S, REST_S, Ports
from tests.media.net import seeded


def test_pairs_are_even_and_inside_the_range() -> None:
    ports = Ports(10001, 10010, seeded().fraction)
    taken = {ports.take(0) for _ in range(4)}
    assert taken == {10002, 10004, 10006, 10008}
    with pytest.raises(MediaError):
        ports.take(0)


def test_ports_are_not_handed_out_in_order() -> None:
    ports = Ports(10000, 19999, seeded().fraction)
    taken = [ports.take(0) for _ in range(50)]
    assert len(set(taken)) == 50
    assert taken != sorted(taken)


def test_a_released_port_rests_while_others_are_free() -> None:
    ports = Ports(10000, 10007, seeded().fraction)
    first = ports.take(0)
    ports.release(first, 1)
    for _ in range(3):
        assert ports.take(REST_S) != first
    assert ports.take(REST_S + 1) == first


def test_with_none_free_the_longest_rested_is_taken_but_never_at_once() -> None:
    ports = Ports(10000, 10003, seeded().fraction)
    one, two = ports.take(0), ports.take(0)
    ports.release(two, 5)
    ports.release(one, 5.5)
    with pytest.raises(MediaError):
        ports.take(5.9)
    assert ports.take(6) == two
    assert len(ports) == 1


def test_a_port_put_aside_comes_back_much_later() -> None:
    ports = Ports(10000, 10001, seeded().fraction)
    ports.put_aside(ports.take(0), 0)
    with pytest.raises(MediaError):
        ports.take(ASIDE_S - 1)
    assert ports.take(ASIDE_S) == 10000


def test_a_port_that_a_worker_holds_is_claimed_once() -> None:
    ports = Ports(10000, 10003, seeded().fraction)
    assert ports.claim(10002)
    assert not ports.claim(10002)
    assert ports.take(0) == 10000
