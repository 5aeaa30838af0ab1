"""What one side says, told to the other as if this relay had said it."""

import re

import pytest

from sipcore.errors import BadMessage
from sipcore.media.fitting import align
from sipcore.media.offer import Author, describe, is_held, read
from sipcore.message.sdp import Codec, parse_sdp
from tests.media.samples import PHONE, SOURCE, one_line


def told(data: bytes, *ports: int, author: Author | None = None) -> str:
    sdp = parse_sdp(data)
    author = author or Author("77", "192.0.2.1")
    return author.write(sdp, read(sdp, SOURCE).streams, ports).decode()


def test_codecs_pass_and_everything_that_names_the_phone_is_gone() -> None:
    assert told(PHONE, 10000, 0, 0).split("\r\n") == [
        "v=0",
        "o=- 77 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "b=AS:64",
        "t=0 0",
        "m=audio 10000 RTP/AVP 0 96 101",
        "b=TIAS:64000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=maxptime:60",
        "a=sendrecv",
        "m=video 0 RTP/SAVP 97",
        "m=image 0 udptl t38",
        "",
    ]


def test_what_a_phone_says_is_read() -> None:
    audio, video, image = read(parse_sdp(PHONE), SOURCE).streams
    assert (audio.is_relayed, audio.address, audio.port, audio.rtcp_port) == (
        True,
        "10.0.0.9",
        4000,
        4005,
    )
    assert list(audio.codecs.items()) == [
        (0, Codec("PCMU", 8000)),
        (96, Codec("opus", 48000, 2)),
        (101, Codec("telephone-event", 8000)),
    ]
    assert not video.is_relayed
    assert not image.is_relayed


def test_static_payload_types_need_no_rtpmap() -> None:
    (audio,) = read(parse_sdp(one_line("m=audio 4000 RTP/AVP 8 18 77")), SOURCE).streams
    assert [codec.name for codec in audio.codecs.values()] == ["PCMA", "G729"]


def test_the_version_rises_by_one_only_when_the_content_changes() -> None:  # RFC 3264 8
    author = Author("77", "192.0.2.1")
    first = told(one_line("m=audio 4000 RTP/AVP 0"), 10000, author=author)
    again = told(one_line("m=audio 4002 RTP/AVP 0"), 10000, author=author)
    changed = told(one_line("m=audio 4000 RTP/AVP 0", "a=sendonly"), 10000, author=author)
    assert again == first
    assert [re.findall("o=- 77 (.)", text) for text in (first, changed)] == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("attribute", "address", "held", "passed_on"),
    [
        ("a=sendrecv", "10.0.0.9", False, ["sendrecv"]),
        ("a=x", "10.0.0.9", False, []),
        ("a=recvonly", "10.0.0.9", False, ["recvonly"]),
        ("a=sendonly", "10.0.0.9", True, ["sendonly"]),
        ("a=inactive", "10.0.0.9", True, ["inactive"]),
        ("a=x", "0.0.0.0", True, ["sendonly"]),
        ("a=recvonly", "0.0.0.0", True, ["inactive"]),
        ("a=inactive", "0.0.0.0", True, ["inactive"]),
    ],
)
def test_hold_both_ways(attribute: str, address: str, held: bool, passed_on: list[str]) -> None:
    data = one_line("m=audio 4000 RTP/AVP 0", attribute, address=address)
    assert is_held(read(parse_sdp(data), SOURCE).streams) is held
    directions = re.findall("a=(sendrecv|sendonly|recvonly|inactive)", told(data, 10000))
    assert directions == passed_on


def test_hold_by_the_null_address_of_ipv6_and_for_the_whole_session() -> None:
    data = one_line("m=audio 4000 RTP/AVP 0").replace(b"c=IN IP4 10.0.0.9", b"c=IN IP6 ::")
    assert is_held(read(parse_sdp(data), SOURCE).streams)
    data = one_line("m=audio 4000 RTP/AVP 0").replace(b"t=0 0", b"t=0 0\r\na=inactive")
    assert is_held(read(parse_sdp(data), SOURCE).streams)
    assert "a=inactive" in told(data, 10000)


def test_a_description_with_no_media_in_use_holds_nobody() -> None:
    assert not is_held(read(parse_sdp(one_line("m=audio 0 RTP/AVP 0")), SOURCE).streams)


def test_a_host_name_is_not_resolved_and_a_group_is_not_sent_to() -> None:
    named = read(parse_sdp(one_line("m=audio 4000 RTP/AVP 0", address="pbx.example")), SOURCE)
    assert named.streams[0].address == SOURCE
    group = read(parse_sdp(one_line("m=audio 4000 RTP/AVP 0", address="224.2.1.1/127")), SOURCE)
    assert group.streams[0].address == ""


def test_an_m_line_without_an_address_is_refused() -> None:
    data = one_line("m=audio 4000 RTP/AVP 0").replace(b"c=IN IP4 10.0.0.9\r\n", b"")
    with pytest.raises(BadMessage):
        read(parse_sdp(data), SOURCE)


def test_an_answer_that_leaves_m_lines_out_is_given_them_back_refused() -> None:
    answer = align(parse_sdp(one_line("m=audio 4000 RTP/AVP 0")), parse_sdp(PHONE))
    assert [(one.kind, one.port) for one in answer.media] == [
        ("audio", 4000),
        ("video", 0),
        ("image", 0),
    ]
    with pytest.raises(BadMessage):
        align(parse_sdp(PHONE), parse_sdp(one_line("m=audio 4000 RTP/AVP 0")))


def test_our_own_offer_is_what_everybody_speaks() -> None:
    text = Author("5", "2001:db8::1").propose(10000)
    sdp = parse_sdp(text)
    assert sdp.connection == "2001:db8::1"
    (audio,) = read(sdp, SOURCE).streams
    assert [codec.name for codec in audio.codecs.values()] == ["PCMA", "PCMU", "telephone-event"]


def test_what_the_worker_is_told() -> None:
    a = read(
        parse_sdp(one_line("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000")),
        SOURCE,
    )
    b = read(parse_sdp(one_line("m=audio 0 RTP/AVP 0")), SOURCE)
    one = describe(3, 0, a, a)
    assert (one.stream, one.address, one.port, one.rtcp_port) == (3, "10.0.0.9", 4000, 4001)
    assert one.sources == ("10.0.0.9", SOURCE)
    assert (one.is_sound_expected, one.clock_rate, one.other_rates) == (True, 8000, ((101, 0),))
    assert not describe(0, 0, a, None).is_sound_expected
    assert not describe(0, 0, a, b).is_sound_expected
    assert describe(1, 0, b, a).port == 0
    assert describe(1, 1, a, a).port == 0


@pytest.mark.parametrize(
    ("lines", "mode"),
    [
        (("m=audio 4000 RTP/AVP 8 101",), "buffer"),
        (("m=audio 4000 RTP/AVP 97 8", "a=rtpmap:97 t38/8000"), "pass"),
        (("m=audio 4000 RTP/AVP 98", "a=rtpmap:98 CLEARMODE/8000"), "pass"),
        (("m=video 4000 RTP/AVP 34",), "pass"),
    ],
)
def test_only_speech_waits_in_the_jitter_buffer(lines: tuple[str, ...], mode: str) -> None:
    said = read(parse_sdp(one_line(*lines)), SOURCE)
    assert describe(0, 0, said, None).mode == mode


def test_an_author_of_two_addresses_shows_the_one_of_the_peers_family() -> None:
    author = Author("5", "192.0.2.1", "2001:db8::1")
    first = author.propose(10000)
    assert b"o=- 5 1 IN IP4 192.0.2.1\r\n" in first
    assert b"c=IN IP4 192.0.2.1\r\n" in first
    sent = author.facing(first, "2001:db8::99")
    assert b"o=- 5 1 IN IP6 2001:db8::1\r\n" in sent
    assert b"c=IN IP6 2001:db8::1\r\n" in sent
    assert b"192.0.2.1" not in sent
    assert author.facing(sent, "192.0.2.99") == first
    author.face("2001:db8::99")
    assert author.propose(10000) == sent, "that is what was sent, so it is no news"
    author.choose("2001:db8::99")
    assert author.propose(10000) == sent
    author.choose("192.0.2.99")
    assert author.propose(10000) == first.replace(b"- 5 1 IN", b"- 5 2 IN"), "a peer that has moved"
