"""What fuzzing begins with: for each reader some bytes that it understands."""

import re

from tests.fuzz.mutants import torture
from tests.media.samples import PHONE

CREDENTIALS = (
    b'username="8001", realm="acme.example", nonce="NONCE", uri="sip:a@b", response="0123", '
    b'algorithm=MD5, qop=auth, nc=00000001, cnonce="c"',
    b'username="a\\"b", realm="", nonce="NONCE", uri="", response="", algorithm=SHA-256',
    b"username=8001,qop=auth,nc=ffffffff,cnonce=1,opaque=,algorithm=MD5-sess",
)
SDPS = (
    PHONE,
    b"v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
    b"m=audio 4000/2 RTP/AVP 0 8 97\r\nc=IN IP4 224.2.1.1/127/3\r\na=rtpmap:97 iLBC/8000/1\r\n"
    b"m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n",
    b"v=0\no=a 1 2 IN IP4 host.example\ns=\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 0 RTP/AVP 8\n"
    b"a=inactive\na=ptime:20\na=rtcp:53020 IN IP4 126.16.64.4\na=crypto:1 AES_CM inline:a|2^31\n",
)


def _values() -> list[bytes]:
    """Return the values of all fields of the torture tests."""
    values = (re.findall(rb"(?m)^[\w-]+[ \t]*:[ \t]*(.*?)\r$", one) for one in torture())
    return sorted({value for row in values for value in row if len(value) < 500})


SEEDS: dict[str, list[bytes]] = {
    "message": torture(),
    "value": _values(),
    "credentials": [*CREDENTIALS],
    "stream": [
        b"\x07" + a + b"\r\n\r\n" + b for a, b in zip(torture(), torture()[1:], strict=False)
    ],
    "sdp": [*SDPS],
}
