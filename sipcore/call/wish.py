"""What a REGISTER asks for: contacts, for how long, with which extensions (RFC 3327, 5626, 6140).

Text in, values out: who may register, and what is registered, the registrar knows.
"""

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.address import Address, parse_address, preference
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri

DEFAULT_EXPIRES_S = 3600
LEAST_EXPIRES_S = 60
MOST_EXPIRES_S = 7200
MOST_SAID_S = (1 << 32) - 1  # RFC 3261 20.19
MOST_PATH = 8
MOST_PATH_CHARS = 1024
MOST_CHARS = 1024  # of a contact, a device's name, a Call-ID: they are kept
_NONE: frozenset[str] = frozenset()
_NO_PATH: list[str] = []
EXTENSIONS = frozenset({"path", "outbound", "gin"})  # what a REGISTER may require


class Verdict(Struct, frozen=True):
    """What the REGISTER is answered."""

    status: int
    headers: Headers
    result: str  # for the metric


class Wish(Struct, frozen=True, gc=False):
    """One Contact of a REGISTER: where, and for how long; 0 removes it. `contact`: `uri` as text.

    `instance`: the device, and which of its flows where it has several (RFC 5626 4.1, 6). `q`: the
    preference (RFC 3261 20.10).
    """

    uri: Uri
    contact: str
    expires_s: int
    instance: str = ""
    q: float = 1.0
    is_outbound: bool = False


class Asked(Struct, frozen=True):
    """A REGISTER as it was read. `path`: the route to its contacts, first hop first. `is_bulk`:
    all numbers of a PBX are meant (RFC 6140 5.2); `is_kept`: not all contacts are removed."""

    wishes: list[Wish]
    path: str = ""
    reflects_path: bool = False
    is_outbound: bool = False
    is_bulk: bool = False
    is_kept: bool = False


def read(request: Request, *, is_path_strict: bool = False) -> Asked | Verdict:
    """Read the contacts of a REGISTER that has any. Raises BadMessage.

    `is_path_strict`: a Path that the device does not know of is refused, as RFC 3327 5.3 allows.
    """
    headers, supported, path = request.headers, _NONE, _NO_PATH
    if "Supported" in headers or "Require" in headers:
        supported = frozenset((*request.tokens("Supported"), *request.tokens("Require")))
    if "Path" in headers:
        path = _path(request)
    if path and is_path_strict and "path" not in supported:
        return Verdict(420, {"Unsupported": ["path"]}, "refused")
    if len(request.call_id) > MOST_CHARS:
        raise BadMessage("Call-ID is too long")
    contact = request.contact
    contacts = request.addresses("Contact") if contact is None else [contact]
    wishes = [_wish(one, request, supported) for one in contacts]
    is_outbound = is_bulk = is_brief = is_kept = False
    for one in wishes:
        is_outbound = is_outbound or one.is_outbound
        is_bulk = is_bulk or "bnc" in one.uri.params
        is_brief = is_brief or 0 < one.expires_s < LEAST_EXPIRES_S
        is_kept = is_kept or one.expires_s > 0
    if is_outbound and not _keeps_flows(request, path):
        return Verdict(439, {}, "refused")
    if is_bulk and "gin" not in request.tokens("Require"):
        return Verdict(421, {"Require": ["gin"]}, "refused")
    if is_brief:
        return Verdict(423, {"Min-Expires": [str(LEAST_EXPIRES_S)]}, "refused")
    return Asked(wishes, ", ".join(path), "path" in supported, is_outbound, is_bulk, is_kept)


def _path(request: Request) -> list[str]:
    path = request.values("Path")
    if len(path) > MOST_PATH or sum(map(len, path)) > MOST_PATH_CHARS:
        raise BadMessage("Path is too long")
    for one in path:
        if parse_address(one).uri.scheme not in ("sip", "sips"):
            raise BadMessage("Path is no SIP URI")
    return path


def _keeps_flows(request: Request, path: list[str]) -> bool:
    """Tell whether the device's first hop is us, or one that says it keeps flows (RFC 5626 6)."""
    if path:
        return "ob" in parse_address(path[-1]).uri.params
    return len(request.values("Via")) == 1


def _wish(contact: Address, request: Request, supported: frozenset[str]) -> Wish:
    uri, params = contact.uri, contact.params
    if uri.scheme not in ("sip", "sips"):
        raise BadMessage("Contact is no SIP URI")
    if "bnc" in uri.params and uri.user is not None:
        raise BadMessage("Contact with bnc has a user part")  # RFC 6140 5.2
    said = params.get("expires")
    if said is not None:  # what cannot be read counts as 3600 (RFC 3261 10.2.1.1)
        is_number = said.isdecimal() and said.isascii()
        expires_s = int(said[:10]) if is_number else DEFAULT_EXPIRES_S
        expires_s = min(expires_s, MOST_EXPIRES_S)
    else:
        expires_s = expires_of(request)
    text = str(uri)
    if len(text) + len(params.get("+sip.instance") or "") > MOST_CHARS:
        raise BadMessage("Contact is too long")
    if not params:
        return Wish(uri, text, expires_s)
    instance, reg_id = params.get("+sip.instance") or "", params.get("reg-id") or ""
    is_outbound = bool(instance) and "outbound" in supported and _is_flow(reg_id)
    if instance:
        instance = f"{instance}#{reg_id if is_outbound else ''}"
    return Wish(uri, text, expires_s, instance, preference(params.get("q")), is_outbound)


def expires_of(request: Request) -> int:
    """Return for how long contacts are asked for that do not say it themselves, in seconds."""
    said = request.number("Expires", MOST_SAID_S)
    return DEFAULT_EXPIRES_S if said is None else min(said, MOST_EXPIRES_S)


def _is_flow(reg_id: str) -> bool:
    return reg_id.isdecimal() and len(reg_id) <= 10


def with_number(uri: Uri, number: str) -> Uri:
    """Put a number in front of a PBX's contact; bnc was for the registrar alone (RFC 6140 5.3)."""
    params = {name: value for name, value in uri.params.items() if name != "bnc"}
    return Uri(uri.scheme, number, None, uri.host, uri.port, params)
