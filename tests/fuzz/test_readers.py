"""Whatever comes is read or refused: each reader, on bytes and on mutilated messages."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.message.message import Request, Response
from sipcore.message.sdp import Media, Sdp
from tests.fuzz.mutants import mutilated, torture
from tests.fuzz.readers import READERS, Reader, views
from tests.fuzz.seeds import SEEDS

SOME = settings(deadline=None, max_examples=150, derandomize=True)
MUTANTS = 1500


@pytest.mark.parametrize("name", READERS)
@SOME
@given(data=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    READERS[name](data)


@pytest.mark.parametrize(("name", "reader"), READERS.items(), ids=READERS)
def test_what_is_mutilated_is_read_or_refused(name: str, reader: Reader) -> None:
    dice = random.Random(name)
    seeds = SEEDS[name]
    for _ in range(MUTANTS):
        reader(mutilated(dice.choice(seeds), dice, seeds))


@pytest.mark.parametrize(("name", "reader"), READERS.items(), ids=READERS)
def test_what_is_whole_is_read(name: str, reader: Reader) -> None:
    for seed in SEEDS[name]:
        reader(seed)


def test_every_view_is_looked_at() -> None:
    assert {"via", "from_", "to", "cseq", "contact", "call_id"} <= {*views(Request)}
    assert {*views(Response)} >= {"content_type"}
    assert {"codecs", "crypto", "rtcp", "fmtp"} <= {*views(Media)}
    assert {"origin", "connection"} <= {*views(Sdp)}
    assert len(torture()) == 61
