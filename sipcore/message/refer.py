"""Refer-To, Referred-By, Replaces, message/sipfrag: a transfer's words (RFC 3515, 3891, 3892).

Knows the grammar; whether somebody may transfer, and what becomes of it, is call/transfer.py's.
"""

from urllib.parse import unquote as percent_decode

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.address import parse_address
from sipcore.message.message import Request
from sipcore.message.status import reason_of
from sipcore.message.uri import Uri
from sipcore.message.values import TOKEN, parse_params

SIPFRAG = "message/sipfrag;version=2.0"


class Replaces(Struct, frozen=True, gc=False):
    """The dialog that is to be replaced, as its peer sees it (RFC 3891 6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    is_early_only: bool = False

    def to_text(self) -> str:
        early = ";early-only" if self.is_early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


class Referred(Struct, frozen=True, gc=False):
    """What a REFER asks for: whom to call, instead of which dialog."""

    target: Uri
    replaces: Replaces | None = None


def parse_replaces(text: str) -> Replaces:
    """Read a Replaces value. Raises BadMessage: both tags must stand there, once each."""
    call_id, semicolon, rest = text.strip(" \t").partition(";")
    call_id = call_id.rstrip(" \t")
    params = parse_params(semicolon + rest) if semicolon else {}
    to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
    if not call_id or any(char in ' \t\r\n<>"' for char in call_id):
        raise BadMessage("Replaces without a Call-ID")
    if not to_tag or not from_tag or not TOKEN.fullmatch(to_tag) or not TOKEN.fullmatch(from_tag):
        raise BadMessage("Replaces without both tags")
    return Replaces(call_id, to_tag, from_tag, "early-only" in params)


def replaces_in(request: Request) -> Replaces | None:
    """Return what an INVITE replaces, if anything. Raises BadMessage; twice is once too often."""
    rows = request.headers.get("Replaces")
    if not rows:
        return None
    if len(rows) > 1 or "," in rows[0]:
        raise BadMessage("more than one Replaces")
    return parse_replaces(rows[0])


def referred_by(request: Request) -> Referred:
    """Read the Refer-To of a REFER. Raises BadMessage where it cannot be followed by an INVITE."""
    rows = request.headers.get("Refer-To", [])
    if len(rows) != 1:  # RFC 3515 2.4.1
        raise BadMessage("REFER needs one Refer-To")
    uri = parse_address(rows[0]).uri
    if uri.scheme not in ("sip", "sips", "tel"):
        raise BadMessage("Refer-To names nobody who can be called", 416)
    if (uri.params.get("method") or "INVITE").upper() != "INVITE":
        raise BadMessage("Refer-To asks for something other than a call", 403)
    found = _header_in(uri.headers or "", "replaces")
    return Referred(uri, None if found is None else parse_replaces(found))


def names_referrer(request: Request) -> bool:
    """Tell whether a REFER says who sends it (RFC 3892 3). Raises BadMessage; once is enough."""
    rows = request.headers.get("Referred-By", [])
    if len(rows) > 1:
        raise BadMessage("more than one Referred-By")
    return bool(rows) and bool(parse_address(rows[0]).uri.scheme)


def _header_in(headers: str, name: str) -> str | None:
    """Return one of the headers that a URI carries (RFC 3261 19.1.1)."""
    for part in headers.split("&"):
        key, equals, value = part.partition("=")
        if equals and key.lower() == name:
            return percent_decode(value, "utf-8", "surrogateescape")
    return None


def wants_no_reports(request: Request) -> bool:
    """Tell whether a REFER wants no subscription (RFC 4488)."""
    return (request.first("Refer-Sub") or "").strip().lower() == "false"


def sipfrag(status: int) -> bytes:
    """Write how far a call has come, for the body of a NOTIFY."""
    return f"SIP/2.0 {status} {reason_of(status)}\r\n".encode()
