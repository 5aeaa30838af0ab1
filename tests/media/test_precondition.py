"""Preconditions (RFC 3312) are answered on the leg that asks, and stay there."""

import pytest

from sipcore.media.precondition import answers
from sipcore.message.sdp import parse_sdp

HEAD = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n"


def _offer(*medias: str) -> bytes:
    return (HEAD + "".join(f"m=audio 6000 RTP/AVP 8\r\n{lines}" for lines in medias)).encode()


@pytest.mark.parametrize(
    ("theirs", "confirms"), [("none", True), ("send", True), ("sendrecv", False)]
)
def test_ours_are_met_and_theirs_are_told_back(theirs: str, confirms: bool) -> None:
    asked = (
        f"a=curr:qos local {theirs}\r\na=curr:qos remote none\r\n"
        "a=des:qos mandatory local sendrecv\r\na=des:qos none remote sendrecv\r\n"
    )
    first, second = answers(parse_sdp(_offer(asked, "")))
    assert second == ()
    assert first[:2] == ("a=curr:qos local sendrecv", f"a=curr:qos remote {theirs}")
    assert ("a=conf:qos remote sendrecv" in first) is confirms


@pytest.mark.parametrize(
    "lines",
    [
        "a=curr:qos e2e none\r\n",
        "a=curr:qos local\r\n",
        "a=curr:qos local x\r\n",
        "a=curr:sec a b\r\n",
    ],
)
def test_what_is_not_understood_is_not_answered(lines: str) -> None:
    assert answers(parse_sdp(_offer(lines))) == ((),)
