"""The header of WAV files, read by Python's own reader."""

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.media import wav


@given(st.integers(0, 500))
def test_the_header_tells_how_many_frames_follow(frames: int) -> None:
    file = io.BytesIO(wav.header(frames) + bytes(frames * wav.FRAME_BYTES))
    assert len(wav.header(frames)) == wav.HEADER_BYTES
    assert wav.place(frames) == len(file.getvalue())
    with wave.open(file) as sound:
        assert sound.getnframes() == frames
        assert (sound.getnchannels(), sound.getsampwidth()) == (2, 2)
        assert (sound.getframerate(), sound.getcomptype()) == (8000, "NONE")


@pytest.mark.parametrize(
    ("size", "frames"), [(0, 0), (10, 0), (44, 0), (47, 0), (48, 1), (51, 1), (1 << 40, 1073741812)]
)
def test_a_torn_file_has_the_frames_that_are_whole(size: int, frames: int) -> None:
    assert wav.frames_in(size) == frames


def test_the_longest_file_still_has_a_header() -> None:
    assert wav.header(wav.MOST_FRAMES)[4:8] > b"\xf0\xff\xff\xff"
