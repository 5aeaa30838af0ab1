"""Bytes to Message, in two steps: `parse` splits, `validate` asks what RFC 3261 8.1.1 demands.

Two steps, because a request that can be split but is wrong gets a 400, and bytes that cannot be
split get nothing.
"""

import re

from sipcore.errors import BadMessage
from sipcore.message.headers import KNOWN, SINGLE, canonical
from sipcore.message.message import Headers, Message, Request, Response
from sipcore.message.uri import Uri
from sipcore.message.values import TOKEN

MOST_HEAD_BYTES = 16 * 1024
MOST_BODY_BYTES = 48 * 1024
MOST_FIELDS = 256
MOST_MAX_FORWARDS = 255

_STATUS_LINE = re.compile(r"SIP/2\.0 +([0-9]+)(?: (.*))?", re.IGNORECASE)
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)


def parse(data: bytes) -> Request | Response:
    """Split one whole message: a datagram, or what framing cut from a stream.

    Octets after Content-Length are dropped (RFC 3261 18.3). Raises BadMessage if it is no SIP.
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if len(head) > MOST_HEAD_BYTES:
        raise BadMessage("head too large", 513)
    if not blank:
        raise BadMessage("no empty line after the head")
    text = head.decode("utf-8", "surrogateescape").lstrip("\r\n")
    if "\0" in text:
        raise BadMessage("zero byte in the head")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    start_line, _, rest = text.partition("\r\n")
    message = _start(start_line, _split(rest))
    length = message.first("Content-Length")
    if length is not None:
        message.headers.pop("Content-Length")
        message.body = _cut(body, length)
    else:
        message.body = body
    return message


def _start(line: str, headers: Headers) -> Request | Response:
    """Tell request from response. A request's faults are left to validate."""
    if line[:4].upper() == "SIP/" and (match := _STATUS_LINE.fullmatch(line)) is not None:
        status = int(match[1]) if len(match[1]) == 3 else 0
        if not 100 <= status <= 699:
            raise BadMessage("status out of range")
        return Response(status, headers, reason=match[2] or "")
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not TOKEN.fullmatch(method):
        raise BadMessage("neither a request line nor a status line")
    if not _VERSION.fullmatch(version):
        uri, version = rest, ""
    return Request(method, uri, headers, version=version)


def _split(text: str) -> Headers:
    """Split header rows. A row without a colon or name is no SIP."""
    headers: Headers = {}
    if not text:
        return headers
    rows = text.split("\r\n")
    if len(rows) > MOST_FIELDS:
        raise BadMessage("too many header fields", 513)
    for row in rows:
        name, colon, value = row.partition(":")
        known = KNOWN.get(name)
        if known is None:
            name = name.rstrip(" \t")
            if not colon or not TOKEN.fullmatch(name):
                raise BadMessage("broken header field")
            known = canonical(name)
        have = headers.get(known)
        if have is None:
            headers[known] = [value.strip(" \t")]
        else:
            have.append(value.strip(" \t"))
    return headers


def _cut(body: bytes, length: str) -> bytes:
    """Return the body that Content-Length names; a wrong one is marked by keeping none."""
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > len(body):
        raise BadMessage("Content-Length is wrong")
    return body[: int(length)]


def validate(message: Message) -> None:
    """Ask of a message what every element needs before it looks further.

    Via, From, To, Call-ID and CSeq are there, once where once is the rule, and readable; the method
    is that of CSeq; the Request-URI has no spaces or brackets; the version is 2.0. Raises
    BadMessage with the status to answer.
    """
    headers = message.headers
    for name, values in headers.items():
        if len(values) > 1 and name in SINGLE:
            raise BadMessage(f"{name} stands {len(values)} times")
    if not message.call_id or len(message.body) > MOST_BODY_BYTES:
        raise BadMessage("Call-ID is empty or the body too large")
    _ = message.via, message.from_, message.to
    cseq = message.cseq
    message.number("Max-Forwards", MOST_MAX_FORWARDS)
    if isinstance(message, Request):
        if not message.version:
            raise BadMessage("broken request line")
        if message.version.upper() != "SIP/2.0":
            raise BadMessage("version not supported", 505)
        if cseq.method != message.method:
            raise BadMessage("CSeq names another method")
        Uri.parse(message.uri)
