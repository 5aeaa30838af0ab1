"""SDP text: read whole, written as it was, refused when it is broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import BadMessage
from sipcore.message.sdp import MAX_MEDIA, Codec, Origin, Sdp, parse_sdp

TYPICAL = b"""v=0\r
o=bob 2890844527 7 IN IP4 192.0.2.1\r
s=call\r
c=IN IP4 192.0.2.1\r
t=0 0\r
a=recvonly\r
m=audio 49170 RTP/AVP 0 101 9\r
c=IN IP4 192.0.2.2/127\r
a=rtpmap:101 telephone-event/8000\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:101 0-16\r
a=ptime:20\r
a=rtcp:49999 IN IP4 192.0.2.9\r
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r
a=rtcp-mux\r
a=sendonly\r
m=video 5000/2 RTP/AVPF 34\r
m=image 0 udptl t38\r
"""


def sdp(*lines: str) -> bytes:
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")
    return "\r\n".join((*head, *lines, "")).encode()


def test_a_description_is_written_as_it_was_read() -> None:
    assert parse_sdp(TYPICAL).to_bytes() == TYPICAL


def test_typed_views() -> None:
    body = parse_sdp(TYPICAL)
    assert body.origin == Origin("bob", "2890844527", 7, "192.0.2.1")
    assert body.origin.line() in body.session
    assert (body.connection, body.direction) == ("192.0.2.1", "recvonly")
    audio, video, image = body.media
    assert (audio.kind, audio.port, audio.protocol) == ("audio", 49170, "RTP/AVP")
    assert audio.formats == ("0", "101", "9")
    assert audio.connection == "192.0.2.2"
    assert audio.direction == "sendonly"
    assert audio.codecs == {101: Codec("telephone-event", 8000), 96: Codec("opus", 48000, 2)}
    assert audio.fmtp == {"101": "0-16"}
    assert audio.ptime_ms == 20
    assert audio.rtcp == (49999, "192.0.2.9")
    assert audio.is_rtcp_muxed
    assert audio.crypto[0].startswith("1 AES_CM_128")
    assert (video.port_count, video.direction, video.rtcp) == (2, None, None)
    assert (image.port, image.formats, image.ptime_ms) == (0, ("t38",), None)


@pytest.mark.parametrize("data", [TYPICAL.replace(b"\r\n", b"\n"), TYPICAL + b"\r\n", TYPICAL[:-2]])
def test_other_line_ends_are_forgiven(data: bytes) -> None:
    assert parse_sdp(data) == parse_sdp(TYPICAL)


def test_ipv6_and_bytes_that_are_no_utf8_pass() -> None:
    data = sdp("i=\u7535\u8bdd", "m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1").replace(
        b"s=-", b"s=\xb5\xe7"
    )
    body = parse_sdp(data)
    assert body.media[0].connection == "2001:db8::1"
    assert body.to_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"v=0",
        b"v=1\r\no=- 1 1 IN IP4 1.2.3.4\r\n",
        b"v=0\r\ns=-\r\n",
        b"v=0\r\no=- 1 x IN IP4 1.2.3.4\r\n",
        b"v=0\r\no=- 1 " + b"9" * 21 + b" IN IP4 1.2.3.4\r\n",
        sdp("rubbish"),
        sdp("M=audio 1 RTP/AVP 0"),
        sdp("", "a=x"),
        sdp("", "m=audio 4000 RTP/AVP 0"),
        sdp("\r", "m=audio 4000 RTP/AVP 0"),
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n\r\nm=audio 4000 RTP/AVP 0\r\n",
        sdp("a=nul\0"),
        sdp("m=audio 65536 RTP/AVP 0"),
        sdp("m=audio x RTP/AVP 0"),
        sdp("m=audio 4000 RTP/AVP"),
        sdp("m=audio \u0664\u0660 RTP/AVP 0"),
        sdp("m=audio 4000 RTP/AVP 0", "c=IN IP7 1.2.3.4"),
        sdp("a=" + "x" * 4096),
        sdp(*["m=audio 4000 RTP/AVP 0"] * (MAX_MEDIA + 1)),
        sdp(*["a=" + "x" * 1000] * 70),
    ],
)
def test_broken_descriptions_are_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_sdp(data)


@pytest.mark.parametrize("line", ["a=sendonly", "c=IN IP4 192.0.2.9", "b=AS:64", "a=ptime:30 "])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\n\r\n", b""])
def test_an_m_line_reads_alike_whether_others_follow_or_not(line: str, end: bytes) -> None:
    alone = sdp("m=audio 4000 RTP/AVP 0 8", line, "a=rtpmap:8 PCMA/8000")
    first, _ = parse_sdp(alone + b"m=video 0 RTP/AVP 99\r\n").media
    assert parse_sdp(alone.rstrip(b"\r\n") + end).media == (first,)


LINES = st.sampled_from([
    "", " ", "v=0", "s=-", "s=\x85\xa0", "t=0 0", "b=AS:64", "c=IN IP4 192.0.2.9", "a=sendonly",
    "a=\0", "o=- 1 1 IN IP4 192.0.2.1", "o=a b 2 IN IP6 ::1 ", "o=a  b 2 IN IP4 x", "m=x",
    "m=audio 4000 RTP/AVP 0 8", "m=audio 4000/2 RTP/AVP 0", "m=audio  4000 RTP/AVP 0",
    "m=a-b 1 x y ",
])  # fmt: skip


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=3), st.booleans())
def test_a_description_reads_alike_with_either_line_end(
    above: list[str], below: list[str], is_usual: bool
) -> None:
    start = ("v=0", "o=- 1 1 IN IP4 192.0.2.1") if is_usual else ()
    middle = ("m=audio 4000 RTP/AVP 0 8",) if is_usual else ()
    read: list[Sdp | None] = []
    for end in ("\r\n", "\n"):
        text = "".join([f"{line}{end}" for line in (*start, *above, *middle, *below)])
        try:
            read.append(parse_sdp(text.encode()))
        except BadMessage:
            read.append(None)
    assert read[0] == read[1]


@pytest.mark.parametrize(
    "line",
    ["a=rtpmap:x PCMU/8000", "a=rtpmap:200 PCMU/8000", "a=ptime:soon", "a=rtcp:99999", "a=rtcp:no"],
)
def test_an_attribute_that_makes_no_sense_reads_as_absent(line: str) -> None:
    (media,) = parse_sdp(sdp("m=audio 4000 RTP/AVP 0", line)).media
    assert (media.codecs, media.ptime_ms, media.rtcp) == ({}, None, None)


pieces = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"\r\n",
            b"\n",
            b"v=0\r\n",
            b"o=- 1 1 IN IP4 1.2.3.4\r\n",
            b"c=IN IP4 1.2.3.4\r\n",
            b"m=audio 4000 RTP/AVP 0\r\n",
            b"a=rtpmap:",
            b"a=rtcp:1 IN IP4 ",
            b"a=sendonly\r\n",
        ]
    ),
)


@given(
    st.one_of(
        st.binary(),
        st.lists(pieces, max_size=12).map(b"".join),
        st.lists(pieces, max_size=8).map(lambda some: TYPICAL + b"".join(some)),
    )
)
def test_any_bytes_parse_or_raise_bad_message(data: bytes) -> None:
    try:
        body = parse_sdp(data)
    except BadMessage:
        return
    assert parse_sdp(body.to_bytes()) == body
    for media in body.media:
        assert isinstance(media.codecs, dict)
        _ = (media.fmtp, media.ptime_ms, media.rtcp, media.crypto, media.direction)
