"""name-addr and addr-spec: From, To, Contact, Route and their kin (RFC 3261 20.10)."""

import re

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.memory import remembered
from sipcore.message.uri import Uri
from sipcore.message.values import TOKEN, Params, format_params, parse_params, quote, unquote

# Possessive throughout: what has matched is never tried again, so hostile text costs its length.
_NAME_ADDR = re.compile(r'[ \t]*+(?:("(?:[^"\\]|\\.)*+")[ \t]*+|([^"<>]*+))<([^<> \t]*+)>')


class Address(Struct, frozen=True, gc=False):
    """A display name, a URI and header parameters.

    `display` holds the bytes of the wire as text (surrogateescape): `name_of` makes it readable.
    """

    uri: Uri
    display: str = ""
    params: Params = {}

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    def to_text(self) -> str:
        name = f"{quote(self.display)} " if self.display else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"


def parse_address(text: str) -> Address:
    """Read one address with its parameters. Raises BadMessage.

    Without angle brackets every parameter belongs to the header, and a URI with a comma,
    question mark or semicolon in it would need them (RFC 3261 20.10).
    """
    name_addr, tagged, tag = text.rpartition(">;tag=")
    if tagged and TOKEN.fullmatch(tag):  # what is before it is the same in many dialogs
        display, uri = _parse_name_addr(name_addr)
        return Address(uri, display, {"tag": tag})
    return _parse_whole(text)


def tag_of(text: str) -> str | None:
    """Return the tag of a From or To, None without one. Raises BadMessage where it is broken."""
    name_addr, tagged, tag = text.rpartition(">;tag=")
    if tagged and ((tag.isalnum() and tag.isascii()) or TOKEN.fullmatch(tag)):
        _parse_name_addr(name_addr)
        return tag
    return _parse_whole(text).params.get("tag")


@remembered
def _parse_whole(text: str) -> Address:
    """Read what has no tag alone behind it: a Contact or a Route, the To of what begins."""
    name_addr, bracket, rest = text.rpartition(">")
    if bracket and '"' not in rest:
        display, uri = _parse_name_addr(name_addr)
        return Address(uri, display, parse_params(rest) if rest else {})
    match = _NAME_ADDR.match(text)
    if match is not None:
        display, uri = _parse_name_addr(match[0][:-1])
        rest = text[match.end() :]
        return Address(uri, display, parse_params(rest) if rest else {})
    bare, semicolon, rest = text.strip(" \t").partition(";")
    bare = bare.rstrip(" \t")
    if "?" in bare or "," in bare:
        raise BadMessage("URI needs angle brackets")
    return Address(Uri.parse(bare), "", parse_params(semicolon + rest) if semicolon else {})


@remembered
def uri_in(text: str) -> str:
    """Return the URI of an address as a request line has it. Raises BadMessage."""
    return str(parse_address(text).uri)


def _parse_name_addr(text: str) -> tuple[str, Uri]:
    """Read display name and URI of what stands before the closing bracket."""
    if text[:1] == "<":  # a URI has no blank and no bracket either
        return "", Uri.parse(text[1:])
    return _parse_named(text)


@remembered
def _parse_named(text: str) -> tuple[str, Uri]:
    match = _NAME_ADDR.fullmatch(f"{text}>")
    if match is None:
        raise BadMessage("broken URI")
    quoted, bare, uri = match.groups()
    return (unquote(quoted) if quoted else bare.rstrip(" \t")), Uri.parse(uri)


def name_of(display: str) -> str:
    """Return a display name as people read it: UTF-8, else GBK (GB 18030), else replaced."""
    if display.isascii():
        return display
    raw = display.encode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


def preference(q: str | None) -> float:
    """Read a q parameter, 0 to 1; 1 where none is readable (RFC 3261 20.10)."""
    try:
        value = float(q or 1)
    except ValueError:
        return 1.0
    return value if 0 <= value <= 1 else 1.0
