"""Bytes to Message, in two steps: `parse` splits, `validate` asks what RFC 3261 8.1.1 demands.

Two steps, because a request that can be split but is wrong gets a 400, and bytes that cannot be
split get nothing.
"""

import re

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.address import parse_address
from sipcore.message.headers import KNOWN, METHODS, SINGLE, canonical
from sipcore.message.memory import remembered
from sipcore.message.message import Headers, Message, Request, Response
from sipcore.message.uri import Uri
from sipcore.message.values import TOKEN

MOST_HEAD_BYTES = 16 * 1024
MOST_BODY_BYTES = 48 * 1024
MOST_FIELDS = 256
MOST_MAX_FORWARDS = 255
MOST_HOPS = 70  # RFC 3261 8.1.1.6

FORWARDS = frozenset(map(str, range(MOST_MAX_FORWARDS + 1)))  # as nearly all write it
_STATUS_LINE = re.compile(r"SIP/2\.0 +([0-9]+)(?: (.*))?", re.IGNORECASE)
_FOLD = re.compile(r"(?<![ \t])[ \t]*+(?:\r\n[ \t]++)++")
_BLANKS = (" ", "\t")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)


def parse(data: bytes) -> Request | Response:
    """Split one whole message: a datagram, or what framing cut from a stream.

    Octets after Content-Length are dropped (RFC 3261 18.3). Raises BadMessage if it is no SIP.
    """
    if data[:1] == b"\r":
        data = data.lstrip(b"\r\n")  # before a start line (7.5)
    head, blank, body = data.partition(b"\r\n\r\n")
    if len(head) > MOST_HEAD_BYTES:
        raise BadMessage("head too large", 513)
    text = head.decode("utf-8", "surrogateescape")
    if not blank:
        if not text.endswith("\r\n"):  # RFC 4475 3.1.2.15 forgets the empty line
            raise BadMessage("no empty line after the head")
        text = text[:-2]
    lines = text.split("\r\n")
    _refuse_controls("".join(lines))
    headers = _split_usual(lines)
    is_usual = headers is not None
    if headers is None:
        headers = _split(lines)
    start = _start(lines[0])
    if "Content-Length" in headers:
        lengths = headers["Content-Length"]
        if is_usual and lengths[0] == str(len(body)):
            del headers["Content-Length"]
        else:
            body = _cut(headers, lengths, body)
            is_usual = is_usual and "Content-Length" not in headers
    message: Request | Response
    if isinstance(start, _RequestLine):
        message = Request(start.method, start.uri, headers, body, start.version)
        is_usual = is_usual and start.is_sound
    else:
        message = Response(start.status, headers, body, start.reason)
    message.is_usual = is_usual and len(body) <= MOST_BODY_BYTES
    return message


def _refuse_controls(text: str) -> None:
    """Refuse what others may take for the end of a line or of a text: a bare CR, LF or NUL.

    `text` is the head without the ends of its lines. NUL may stand escaped in a quoted-string
    (RFC 3261 25.1; RFC 4475 intmeth).
    """
    if "\r" in text or "\n" in text:
        raise BadMessage("bare CR or LF in the head")
    if "\0" in text and text.count("\0") != text.count("\\\0"):
        raise BadMessage("zero byte in the head")


class _RequestLine(Struct, frozen=True, gc=False):
    """RFC 3261 7.1."""

    method: str
    uri: str
    version: str
    is_sound: bool  # nothing for validate to find


class _StatusLine(Struct, frozen=True, gc=False):
    """RFC 3261 7.2."""

    status: int
    reason: str


@remembered
def _start(line: str) -> _RequestLine | _StatusLine:
    """Tell request from response. A request's faults are left to validate."""
    if line[:4].upper() == "SIP/" and (match := _STATUS_LINE.fullmatch(line)) is not None:
        status = int(match[1]) if len(match[1]) == 3 else 0
        if not 100 <= status <= 699:
            raise BadMessage("status out of range")
        return _StatusLine(status, match[2] or "")
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if method not in METHODS and not TOKEN.fullmatch(method):
        raise BadMessage("neither a request line nor a status line")
    if version != "SIP/2.0" and not _VERSION.fullmatch(version):
        uri, version = rest, ""
    try:
        _validate_start(uri, version)
    except BadMessage:
        return _RequestLine(method, uri, version, False)
    return _RequestLine(method, uri, version, True)


def _split_usual(lines: list[str]) -> Headers | None:
    """Split header rows as nearly all are written; None where one is not, or a name is repeated."""
    if len(lines) > MOST_FIELDS:
        return None
    headers: Headers = {}
    try:
        for row in lines[1:]:
            name, value = row.split(": ", 1)
            headers[KNOWN[name]] = [value.strip(" \t")]
    except (KeyError, ValueError):
        return None
    return headers if len(headers) == len(lines) - 1 else None


def _split(lines: list[str]) -> Headers:
    """Split header rows. A row without a name is no SIP.

    `lines` begins with the start line, and loses its folds (7.3.1) where there are any.
    """
    headers: Headers = {}
    for row in lines[1:]:
        name, colon, value = row.partition(": ")  # as nearly all are written: nothing to strip
        known = KNOWN.get(name)
        if known is None or not colon:
            if row[:1] in _BLANKS:
                lines[:] = _FOLD.sub(" ", "\r\n".join(lines)).split("\r\n")
                return _split(lines)
            name, colon, value = row.partition(":")
            name = name.rstrip(" \t")
            if not colon or not TOKEN.fullmatch(name):
                raise BadMessage("broken header field")
            known = canonical(name)
        if known in headers:
            headers[known].append(value.strip(" \t"))
        else:
            headers[known] = [value.strip(" \t")]
    if len(lines) > MOST_FIELDS + 1:
        raise BadMessage("too many header fields", 513)
    return headers


def _cut(headers: Headers, lengths: list[str], body: bytes) -> bytes:
    """Return the body that Content-Length names, and take the field away: it is counted anew.

    One that is wrong or stands twice stays, for validate to find; then no octet is body.
    """
    length = lengths[0]
    is_number = length.isascii() and length.isdigit() and len(length) <= 9
    if len(lengths) > 1 or not is_number or int(length) > len(body):
        return b""
    del headers["Content-Length"]
    return body[: int(length)]


def validate(message: Message) -> None:
    """Ask of a message what every element needs before it looks further.

    The version is 2.0; Via, From, To, Call-ID and CSeq are there, once where once is the rule, and
    readable, and so is the Contact that a dialog or a binding is made of; the method is that of
    CSeq; the Request-URI has no spaces, brackets or header fields. Raises BadMessage with the
    status to answer.
    """
    if not message.is_usual:
        _validate_shape(message)
    headers = message.headers
    method = message.read().method
    if isinstance(message, Request):
        if method != message.method:
            raise BadMessage("CSeq names another method")
        if "Max-Forwards" in headers and headers["Max-Forwards"][0] not in FORWARDS:
            message.number("Max-Forwards", MOST_MAX_FORWARDS)
    elif isinstance(message, Response) and message.status >= 300:
        return  # it makes no dialog
    if method == "REGISTER" and message.to.uri.scheme not in ("sip", "sips"):
        raise BadMessage("To is no SIP URI")  # RFC 4475 3.3.4
    if "Contact" in headers:
        rows = headers["Contact"]
        if len(rows) == 1 and "," not in rows[0] and rows[0] not in ("*", ""):
            parse_address(rows[0])
        else:
            _ = message.contact
    if "Record-Route" in headers and len(message.addresses("Record-Route")) > MOST_HOPS:
        raise BadMessage("too many Record-Route", 513)  # each request within would have them all


def _validate_shape(message: Message) -> None:
    """Ask of a message what a usual one has been found to have when it was split."""
    if isinstance(message, Request):
        _validate_start(message.uri, message.version)
    for name, values in message.headers.items():
        if len(values) > 1 and name in SINGLE:
            raise BadMessage(f"{name} stands {len(values)} times")
    if "Content-Length" in message.headers:
        raise BadMessage("Content-Length is wrong")
    if len(message.body) > MOST_BODY_BYTES:
        raise BadMessage("body too large", 513)


def _validate_start(uri: str, version: str) -> None:
    """Ask of a request line what RFC 3261 7.1 and 19.1.1 demand."""
    if not version:
        raise BadMessage("broken request line")
    if version.upper() != "SIP/2.0":
        raise BadMessage("version not supported", 505)
    if Uri.parse(uri).headers is not None:
        raise BadMessage("Request-URI has header fields")
