"""sip:, sips: and tel: URIs (RFC 3261 19.1, RFC 3966). Other schemes are kept whole, unread."""

import re
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.memory import remembered
from sipcore.message.values import Params

_SIP = re.compile(
    r"(sips?):"
    r"(?:([A-Za-z0-9_.!~*'()&=+$,;?/%#\x80-\U0010ffff-]+)(?::([A-Za-z0-9_.!~*'()&=+$,%-]*))?@)?"
    r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"((?:;[^;?<>\"\s@]+)*)(?:\?([^<>\"\s]*))?",
    re.IGNORECASE | re.ASCII,
)
_TEL = re.compile(r"tel:(\+?[0-9A-Da-d*#().-]+)((?:;[^;?<>\"\s]+)*)", re.IGNORECASE | re.ASCII)
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([^<>\"\s]+)")
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9_.~!*'()&+$/-]*")  # in neither of the two below
_USER_SAFE = "-_.!~*'()&=+$,;?/#"
_PARAM_SAFE = "-_.!~*'()[]/:&+$"


class Uri(Struct, frozen=True, gc=False):
    """A URI in its parts; user and parameter values are without percent-escapes.

    For tel: `user` is the number and `host` is empty. For an unknown scheme `opaque` has the rest.
    """

    scheme: str = "sip"
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = {}
    headers: str | None = None
    opaque: str | None = None

    @staticmethod
    def parse(text: str) -> "Uri":
        """Read a URI. Raises BadMessage where the grammar of its scheme is broken."""
        return _read(text)

    def __str__(self) -> str:
        if self.opaque is not None:
            return f"{self.scheme}:{self.opaque}"
        params = _write_params(self.params) if self.params else ""
        user = self.user or ""
        if not (user.isalnum() and user.isascii()):
            user = _encode(user, _USER_SAFE)
        if self.scheme == "tel":
            return f"tel:{user}{params}"
        if self.user is not None:
            user += "@" if self.password is None else f":{self.password}@"
        port = "" if self.port is None else f":{self.port}"
        headers = "" if self.headers is None else f"?{self.headers}"
        return f"{self.scheme}:{user}{self.host}{port}{params}{headers}"

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, if the URI names one."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def address(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host[1:-1] if self.host[:1] == "[" else self.host

    def is_same(self, other: "Uri") -> bool:
        """Compare as RFC 3261 19.1.4 says, as far as registrars need it."""
        if (self.scheme, self.user, self.port) != (other.scheme, other.user, other.port):
            return False
        if self.host.lower() != other.host.lower() or self.opaque != other.opaque:
            return False
        mine, theirs = self.params, other.params
        named = ("user", "ttl", "method", "maddr", "transport")
        shared = (mine.keys() & theirs.keys()) | {
            name for name in named if name in mine or name in theirs
        }
        return all(_folded(mine.get(name)) == _folded(theirs.get(name)) for name in shared)


@remembered
def _read(text: str) -> Uri:
    match = _SIP.fullmatch(text)
    if match is not None:
        scheme, user, password, host, port, params, headers = match.groups()
        if port is not None and not 0 < int(port) < 65536:
            raise BadMessage("URI port out of range")
        return Uri(
            scheme.lower(),
            _decode(user) if user and "%" in user else user,
            password,
            host,
            int(port) if port else None,
            _params(params) if params else {},
            headers,
        )
    if (match := _TEL.fullmatch(text)) is not None:
        return Uri("tel", match[1], params=_params(match[2]) if match[2] else {})
    match = _OTHER.fullmatch(text)
    if match is None or match[1].lower() in ("sip", "sips", "tel"):
        raise BadMessage("broken URI")
    return Uri(match[1].lower(), opaque=match[2])


def _folded(value: str | None) -> str | None:
    return value.lower() if value else value


def _decode(text: str) -> str:
    decoded = percent_decode(text, "utf-8", "surrogateescape")
    # Octets that stood escaped and bare side by side may make one character together.
    return decoded.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _encode(text: str, safe: str) -> str:
    if _NEVER_ESCAPED.fullmatch(text):
        return text
    return percent_encode(text.encode("utf-8", "surrogateescape"), safe=safe)


def _write_params(params: Params) -> str:
    return "".join(
        f";{_encode(name, _PARAM_SAFE)}"
        if value is None
        else f";{_encode(name, _PARAM_SAFE)}={_encode(value, _PARAM_SAFE)}"
        for name, value in params.items()
    )


def _params(text: str) -> Params:
    params: Params = {}
    for part in text[1:].split(";"):
        name, equals, value = part.partition("=")
        if not name:
            raise BadMessage("empty URI parameter")
        params[_decode(name).lower()] = _decode(value) if equals else None
    return params
