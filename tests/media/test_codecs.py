"""Codecs that a peer may be offered: fewer formats, in another order, and nothing else changed."""

import pytest

from sipcore.errors import MediaError
from sipcore.media.codecs import with_codecs
from sipcore.message.sdp import parse_sdp

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 96 8 0 18 101\r\n"
    b"a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
    b"a=rtpmap:8 PCMA/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\n"
    b"m=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
)


def lines(names: tuple[str, ...]) -> list[str]:
    return with_codecs(OFFER, names).decode().split("\r\n")


def test_codecs_are_left_in_the_order_of_the_setting() -> None:
    left = lines(("g729", "pcma"))
    assert "m=audio 4000 RTP/AVP 18 8 101" in left
    assert "a=fmtp:18 annexb=no" in left
    assert not any("96" in line for line in left)
    assert "a=fmtp:101 0-16" in left


def test_other_m_lines_pass() -> None:
    assert "m=video 4002 RTP/AVP 97" in lines(("PCMU",))
    assert parse_sdp(with_codecs(OFFER, ("PCMU",))).media[0].formats == ("0", "101")


def test_what_has_all_is_left_as_it_is() -> None:
    assert with_codecs(OFFER, ("opus", "PCMA", "PCMU", "G729")) == OFFER


def test_nothing_in_common_is_told() -> None:
    with pytest.raises(MediaError, match="no codec"):
        with_codecs(OFFER, ("G722",))
