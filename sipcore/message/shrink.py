"""A request in fewer bytes: compact names (RFC 3261 7.3.3), then without what nobody needs."""

from sipcore.message.headers import COMPACT
from sipcore.message.message import Request

_SHORT = {name: short for short, name in COMPACT.items()}
_SPARE = frozenset(("User-Agent", "Server", "Organization", "Subject", "Date", "Accept-Language"))
_SPARE_LATER = _SPARE | {"Allow"}  # within a dialog the peer has it already


def shrink(request: Request, most: int) -> bytes:
    """Write a request with compact names; if it is above `most` bytes still, without spare fields.

    It may be above that even then.
    """
    data = _write(request, frozenset())
    if len(data) <= most:
        return data
    is_within = any(";tag=" in row for row in request.headers.get("To", ()))
    return _write(request, _SPARE_LATER if is_within else _SPARE)


def _write(request: Request, left_out: frozenset[str]) -> bytes:
    lines = [f"{request.method} {request.uri} {request.version}"]
    lines += [
        f"{_SHORT.get(name, name)}: {value}"
        for name, values in request.headers.items()
        for value in values
        if name not in left_out
    ]
    lines += [f"l: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + request.body
