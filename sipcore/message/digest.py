"""Digest authentication (RFC 2617, 7616, 8760): credentials, challenges, nonces. Pure.

A nonce carries its time, its number, and a MAC over both and the source address. What is kept of
each of the last million is the count it was used with, in two bytes; older ones are stale.
"""

import hashlib
import hmac
import re
from array import array
from collections.abc import Callable

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.values import unquote

ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}
MOST_NONCES = 1 << 20  # three minutes of 6,000 challenges a second
_LAST_NUMBER = (1 << 32) - 1
_MOST_COUNT = (1 << 16) - 1
_FIELD = re.compile(
    r'([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^", \t]++)[ \t]*+(?:,|$)[ \t]*+'
)
_FIELDS = re.compile(rf"[ \t]*+(?:{_FIELD.pattern})*+")

_QUOTED = r'="([^"\\]*+)"'
_USUAL = re.compile(  # every field known and in its usual form, as nearly all are: read in one step
    rf"(?:(?:username{_QUOTED}|realm{_QUOTED}|nonce{_QUOTED}|uri{_QUOTED}|response{_QUOTED}"
    r"|algorithm=([A-Za-z0-9-]++)|qop=([a-z-]++)|nc=([0-9A-Fa-f]++)"
    rf'|cnonce{_QUOTED}|opaque="[^"\\]*+")(?:,[ \t]*+|$))++'
)


class Credentials(Struct, frozen=True, gc=False):
    """What Authorization or Proxy-Authorization says. Empty strings stand for what is missing."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""


def digest_fields(text: str) -> dict[str, str] | None:
    """Return the fields of a Digest value by name in lower case; None for another scheme.

    Raises BadMessage.
    """
    scheme, _, rest = text.partition(" ")
    if scheme.lower() != "digest":
        return None
    if _FIELDS.fullmatch(rest) is None:
        raise BadMessage("broken credentials")
    return {
        name.lower(): unquote(value) if value[0] == '"' else value
        for name, value in _FIELD.findall(rest)
    }


def parse_credentials(text: str) -> Credentials | None:
    """Read a Digest value; None for another scheme (RFC 4475 regaut01). Raises BadMessage."""
    rest = text[7:] if text[:7].lower() == "digest " else ""
    if (usual := _USUAL.fullmatch(rest)) is not None:
        username, realm, nonce, uri, response, algorithm, qop, nc, cnonce = usual.groups("")
        algorithm = algorithm.upper() or "MD5"
        return Credentials(
            username, realm, nonce, uri, response, algorithm, qop.lower(), nc, cnonce
        )
    found = digest_fields(text)
    if found is None:
        return None
    algorithm = found.get("algorithm", "MD5").upper()
    names = ("username", "realm", "nonce", "uri", "response")
    username, realm, nonce, uri, response = (found.get(name, "") for name in names)
    qop, nc, cnonce = found.get("qop", "").lower(), found.get("nc", ""), found.get("cnonce", "")
    return Credentials(username, realm, nonce, uri, response, algorithm, qop, nc, cnonce)


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(username:realm:password) (RFC 7616 3.4.2)."""
    secret = f"{username}:{realm}:{password}"
    return ALGORITHMS[algorithm](secret.encode("utf-8", "surrogateescape"))


def response_of(credentials: Credentials, method: str, ha1_hex: str) -> str:
    """Return the response that the right password gives (RFC 7616 3.4.1; without qop RFC 2617)."""
    digest = ALGORITHMS[credentials.algorithm]
    ha2 = digest(f"{method}:{credentials.uri}".encode("utf-8", "surrogateescape"))
    if credentials.qop:
        middle = f"{credentials.nonce}:{credentials.nc}:{credentials.cnonce}:{credentials.qop}"
    else:
        middle = credentials.nonce
    return digest(f"{ha1_hex}:{middle}:{ha2}".encode("utf-8", "surrogateescape"))


def is_right(credentials: Credentials, method: str, ha1_hex: str) -> bool:
    """Compare in constant time."""
    expected = response_of(credentials, method, ha1_hex).encode()
    return hmac.compare_digest(expected, credentials.response.lower().encode("utf-8", "replace"))


class Nonces:
    """Makes and checks nonces. `key` is secret to the node; the last `most` are good."""

    def __init__(self, key: bytes, valid_s: float = 300.0, most: int = MOST_NONCES) -> None:
        # BLAKE2b's longest key (RFC 7693): a MAC in one step, 3 times as fast as HMAC
        self._keyed = hashlib.blake2b(key=key[:64], digest_size=16)
        self._valid_s = valid_s
        self._most = most
        self._made = 0
        self._counts = array("H", bytes(2 * most))

    def make(self, source: str, now: float) -> str:
        """Return a nonce for a source address: time, number, MAC."""
        self._counts[self._made % self._most] = 0
        head = f"{int(now):08x}{self._made:08x}"
        self._made = (self._made + 1) & _LAST_NUMBER
        return head + self._mac(head, source)

    def check(self, credentials: Credentials, source: str, now: float) -> bool:
        """Tell whether a nonce is ours, fresh, from this source, and its count unused.

        False means: challenge again with stale=true. Without qop a nonce serves once.
        """
        nonce = credentials.nonce
        if not self.is_ours(nonce, source, now):
            return False
        try:
            count = int(credentials.nc, 16) if credentials.qop else 1
        except ValueError:
            return False
        number = int(nonce[8:16], 16)
        if not 0 < (self._made - number & _LAST_NUMBER) <= self._most:
            return False
        seen = self._counts[number % self._most]
        if not seen < count <= _MOST_COUNT or (not seen and count != 1):
            return False
        self._counts[number % self._most] = count
        return True

    def is_ours(self, nonce: str, source: str, now: float) -> bool:
        """Tell whether we sent a nonce to this source of late, used up or not: then the source is
        no made-up one."""
        head = nonce[:16]
        if not nonce.isascii() or not hmac.compare_digest(nonce[16:], self._mac(head, source)):
            return False
        return -1 <= now - int(head[:8], 16) <= self._valid_s

    def mark(self, text: str) -> str:
        """Return hexadecimal digits that belong to a text, and that only we can compute."""
        return self._mac("mark", text)

    def _mac(self, head: str, source: str) -> str:
        mac = self._keyed.copy()
        mac.update(f"{head}{source}".encode("utf-8", "surrogateescape"))
        return mac.hexdigest()


def challenge(algorithm: str, realm: str, nonce: str, *, is_stale: bool = False) -> str:
    """Write one WWW-Authenticate or Proxy-Authenticate value (RFC 8760: one row an algorithm)."""
    stale = ", stale=true" if is_stale else ""
    return f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{stale}'
