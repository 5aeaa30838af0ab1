"""An SDP with one audio stream: how a party writes it, and what it finds in another's."""

import re

from tests.sim.net import Place

RTPMAPS = {"8": "PCMA", "0": "PCMU", "101": "telephone-event"}


def description(
    place: Place, version: int, direction: str = "sendrecv", formats: str = "8 0 101"
) -> bytes:
    """Return an SDP with one audio stream."""
    maps = "".join(f"a=rtpmap:{form} {RTPMAPS[form]}/8000\r\n" for form in formats.split())
    return (
        f"v=0\r\no=- 7 {version} IN IP4 {place[0]}\r\ns=-\r\nc=IN IP4 {place[0]}\r\nt=0 0\r\n"
        f"m=audio {place[1] + 1000} RTP/AVP {formats}\r\n{maps}a={direction}\r\n"
    ).encode()


def direction_of(sdp: bytes) -> str:
    found = re.search(rb"a=(sendrecv|sendonly|recvonly|inactive)", sdp)
    return found[1].decode() if found else "sendrecv"


def formats_of(sdp: bytes) -> set[str]:
    found = re.search(rb"m=audio \d+ RTP/AVP ([0-9 ]+)", sdp)
    return set(found[1].decode().split()) if found else set()
