"""Frames of the control socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import MediaError
from sipcore.media import control
from sipcore.media.control import Description, Stream

VERBS: list[control.Verb] = [
    control.Open(
        1,
        "call",
        (Stream("a", 0, 10000),),
        (Description(0, "192.0.2.1", 4000, 4001, ("192.0.2.1",), True, 8000, ((101, 0),)),),
    ),
    control.Update("call", ()),
    control.Close(2, "call"),
    control.List(3),
    control.Metrics(4),
]


@given(st.lists(st.integers(1, 40), max_size=30))
def test_verbs_come_out_as_they_went_in_however_they_are_cut(cuts: list[int]) -> None:
    stream, buffer = bytearray(), bytearray()
    for verb in VERBS:
        control.write_frame(stream, verb)
    found: list[control.Verb] = []
    for cut in (*cuts, len(stream)):
        buffer += stream[:cut]
        del stream[:cut]
        found += control.read_verbs(buffer)
    assert found == VERBS
    assert not buffer


@given(st.binary(max_size=60))
def test_any_bytes_are_verbs_or_a_media_error(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        list(control.read_verbs(buffer))
    except MediaError:
        return
    assert len(buffer) <= len(data)


def test_a_reply_is_no_verb() -> None:
    buffer = bytearray()
    control.write_frame(buffer, control.Opened(1))
    with pytest.raises(MediaError):
        list(control.read_verbs(buffer))
