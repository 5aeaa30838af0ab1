"""Bencoding, as the ng protocol has it (BEP 3)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rtpengine import Decoded, Value, decode, encode

VALUES = st.recursive(
    st.binary(max_size=20) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def test_a_request_is_a_dictionary_with_sorted_keys() -> None:
    request: dict[str, Value] = {"command": "offer", "call-id": "x", "replace": ["origin"], "n": -3}
    assert encode(request) == b"d7:call-id1:x7:command5:offer1:ni-3e7:replacel6:originee"


@given(VALUES)
def test_what_was_encoded_is_decoded(value: Decoded) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "broken",
    [b"", b"i12", b"ixe", b"5:abc", b"-1:a", b"l1:a", b"d1:ae", b"di1e1:ae", b"1:ab", b"x", b"d"],
)
def test_what_is_no_bencoding_raises_value_error(broken: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(broken)


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_raise_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(data)
