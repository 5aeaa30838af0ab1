"""Tokens, fractions and record ids, from a source of bytes that is handed in."""

import itertools
import random
import uuid

from sipcore.ids import Ids


def seeded() -> Ids:
    return Ids(random.Random(7).randbytes)


def test_tokens_are_as_long_as_asked_and_never_the_same() -> None:
    ids = Ids()
    tokens = [ids.token(n) for n in (1, 8, 16, 32, 64)]
    assert [len(token) for token in tokens] == [1, 8, 16, 32, 64]
    many = {ids.token() for _ in range(2000)}
    assert len(many) == 2000, "more than one pool of 4 KiB"
    assert set("".join(many)) == set("0123456789abcdef")


def test_the_same_seed_gives_the_same_tokens() -> None:
    one, other = seeded(), seeded()
    assert [one.token() for _ in range(600)] == [other.token() for _ in range(600)]


def test_no_bytes_are_used_twice_where_a_pool_ends() -> None:
    counter = itertools.count()
    ids = Ids(lambda n: next(counter).to_bytes(1, "big") * n)
    assert ids.token(8190) == "00" * 4095
    assert ids.token(4) == "0101", "the two digits left are too few"


def test_fractions_lie_in_the_unit_interval_and_spread() -> None:
    ids = seeded()
    fractions = [ids.fraction() for _ in range(1000)]
    assert min(fractions) >= 0
    assert max(fractions) < 1
    assert 0.45 < sum(fractions) / 1000 < 0.55


def test_a_record_id_is_a_uuid_7_that_sorts_by_time() -> None:
    ids = seeded()
    records = [ids.record(at) for at in (0.0, 1.0, 1.5, 1_795_000_000.5, 4e9)]
    assert records == sorted(records)
    for record in records:
        read = uuid.UUID(record)
        assert (read.version, read.variant, read.hex) == (7, uuid.RFC_4122, record)
    assert int(records[3][:12], 16) == 1_795_000_000_500
    assert ids.record(1.0) != ids.record(1.0)
