"""Small values inside header fields: parameters, Via, CSeq. Views are made when asked for."""

import re

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.memory import remembered

TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_PARAM = re.compile(
    r"[ \t]*;[ \t]*([A-Za-z0-9.!%*_+`'~\[\]/:&$-]+)"
    r'(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^";,<> \t]+))?[ \t]*'
)
_PLAIN_PARAMS = re.compile(  # without quotes and spaces, as nearly all are
    r"(?:;[A-Za-z0-9.!%*_+`'~\[\]/:&$-]++(?:=[^\";,<> \t=]++)?)++"
)
_VIA = re.compile(
    r"SIP[ \t]*/[ \t]*[0-9]\.[0-9][ \t]*/[ \t]*([A-Za-z0-9.!%*_+`'~-]+)[ \t]+"
    r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?:[ \t]*:[ \t]*([0-9]{1,5}))?[ \t]*"
)
USUAL_VIA_PARAMS = re.compile(  # a branch and an empty rport, as most write it
    r"(rport;)?branch=([A-Za-z0-9.!%*_+`'~-]++)(?(1)|;rport)"
)

Params = dict[str, str | None]


def parse_params(text: str) -> Params:
    """Read `;name=value;flag` into a dict with lower-case names.

    Quoted values lose their quotes. Raises BadMessage for anything else, an empty one included.
    """
    if _PLAIN_PARAMS.fullmatch(text):
        pairs = [part.partition("=") for part in text[1:].split(";")]
        return {name.lower(): value if equals else None for name, equals, value in pairs}
    params: Params = {}
    at, end = 0, len(text)
    while at < end:
        match = _PARAM.match(text, at)
        if match is None:
            raise BadMessage("broken parameter")
        name, value = match.groups()
        params[name.lower()] = unquote(value) if value and value[0] == '"' else value
        at = match.end()
    return params


def format_params(params: Params) -> str:
    """Write what parse_params reads; a value that is no token or host is quoted."""
    return "".join(
        f";{name}" if value is None else f";{name}={quote_if_needed(value)}"
        for name, value in params.items()
    )


_PLAIN = re.compile(r'[^";,<>\s\\\x00-\x1f]+')


def quote_if_needed(text: str) -> str:
    """Return text as it is where the grammar allows it bare, else as a quoted-string."""
    return text if TOKEN.fullmatch(text) or _PLAIN.fullmatch(text) else quote(text)


def quote(text: str) -> str:
    """Write a quoted-string (RFC 3261 25.1)."""
    text = text.replace("\r", " ").replace("\n", " ")  # would end the field
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Read a quoted-string with its quotes on."""
    inner = text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


def split_commas(text: str) -> list[str]:
    """Split a header value at the commas that are outside quotes and angle brackets."""
    if "," not in text:
        return [text]
    parts, start, in_quotes, in_angle, skip = [], 0, False, False, False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif in_quotes:
            skip, in_quotes = char == "\\", char != '"'
        elif char == '"':
            in_quotes = True
        elif char == "<":
            in_angle = True
        elif char == ">":
            in_angle = False
        elif char == "," and not in_angle:
            parts.append(text[start:at].strip(" \t"))
            start = at + 1
    parts.append(text[start:].strip(" \t"))
    return parts


@remembered
def parse_number(text: str) -> int | None:
    """Read a whole number, with parameters or a comment behind it; None for what is none."""
    text = text.partition(";")[0].partition("(")[0].strip(" \t")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


class CSeq(Struct, frozen=True, gc=False):
    """RFC 3261 20.16."""

    number: int
    method: str


@remembered
def parse_cseq(text: str) -> CSeq:
    """Read `4711 INVITE`. Raises BadMessage; numbers go up to 2**31 - 1 (RFC 3261 8.1.1.5)."""
    number, _, method = text.partition(" ")
    if not (number.isascii() and number.isdigit()):
        number, _, method = " ".join(text.split()).partition(" ")
    method = method.strip(" \t")
    if not (number.isascii() and number.isdigit()) or not TOKEN.fullmatch(method):
        raise BadMessage("broken CSeq")
    if len(number) > 12 or (value := int(number)) >= 1 << 31:
        raise BadMessage("CSeq number too large")
    return CSeq(value, method)


class Via(Struct, frozen=True, gc=False):
    """The topmost hop (RFC 3261 20.42). `port` is None where the message names none."""

    transport: str
    host: str
    port: int | None
    params: Params
    sent_by: str  # host and port as transactions are matched on (RFC 3261 17.2.3)

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    def to_text(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{format_params(self.params)}"


def parse_via(text: str) -> Via:
    """Read one Via value. Raises BadMessage."""
    before, semicolon, after = text.partition(";")
    transport, host, port, sent_by = parse_sent_by(before)
    params = parse_params(semicolon + after) if semicolon else {}
    return Via(transport, host, port, params, sent_by)


@remembered
def parse_sent_by(text: str) -> tuple[str, str, int | None, str]:
    """Read transport, host, port and both as one: what stands before the parameters."""
    match = _VIA.fullmatch(text)
    if match is None:
        raise BadMessage("broken Via")
    transport, host, port = match.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise BadMessage("Via port out of range")
    number = int(port) if port else None
    return transport.upper(), host, number, f"{host.lower()}:{number or 5060}"
