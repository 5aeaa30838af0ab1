"""Bodies that are no plain SDP: in parts, as ISUP gateways and PBXs send them (RFC 5621, RFC 2046
5.1), or such as may be ignored. Knows where the session description is, not what it says."""

import re

from sipcore.message.message import Message

SDP = "application/sdp"
MOST_PARTS = 16
DEEPEST = 2  # parts within parts

_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.I)
_HANDLING = re.compile(r";[ \t]*handling[ \t]*=[ \t]*\"?(\w+)", re.I)
_AS_THEY_ARE = ("", "7bit", "8bit", "binary")  # transfer encodings


def unpack(message: Message) -> bool:
    """Leave of a message's body the session description; of one that may be ignored, nothing.

    False where it must be understood, and cannot be: 415.
    """
    headers = message.headers
    said = {name.lower(): rows[0] for name, rows in headers.items() if rows}
    found = _session_in(said, message.body, DEEPEST)
    if found is None:
        return False
    message.body = found
    if found:
        headers["Content-Type"] = [SDP]
    else:
        headers.pop("Content-Type", None)
    return True


def _session_in(said: dict[str, str], body: bytes, deep: int) -> bytes | None:
    """Return the SDP of a body or part; b"": it may be ignored; None: it cannot be understood."""
    kind = said.get("content-type", "")
    name = kind.partition(";")[0].strip().lower()
    encoding = said.get("content-transfer-encoding", "").strip().lower()
    handling = _HANDLING.search(said.get("content-disposition", ""))
    is_needed = handling is None or handling[1].lower() != "optional"
    found: bytes | None = None
    if name == SDP and encoding in _AS_THEY_ARE:
        found = body
    elif name.startswith("multipart/") and deep and (boundary := _BOUNDARY.search(kind)):
        found = _session_among(_parts(body, (boundary[1] or boundary[2]).encode()), name, deep)
    return b"" if found is None and not is_needed else found


def _session_among(parts: list[tuple[dict[str, str], bytes]], kind: str, deep: int) -> bytes | None:
    """Choose among parts: of alternatives the last (RFC 2046 5.1.4), else the first.

    Beside an SDP what does not say that it must be understood is ignored.
    """
    sdps = []
    for said, body in parts:
        found = _session_in(said, body, deep - 1)
        if found:
            sdps.append(found)
        elif found is None and kind == "multipart/mixed":
            handling = _HANDLING.search(said.get("content-disposition", ""))
            if handling is not None and handling[1].lower() == "required":
                return None
    if not sdps:
        return None
    return sdps[-1] if kind == "multipart/alternative" else sdps[0]


def _parts(body: bytes, boundary: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Read header fields and content of each part."""
    found: list[tuple[dict[str, str], bytes]] = []
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    for piece in pieces[1 : MOST_PARTS + 1]:
        if piece.startswith(b"--"):
            break
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            continue
        rows = head.decode("utf-8", "replace").split("\r\n")[1:]
        fields = (row.partition(":") for row in rows)
        found.append(({name.strip().lower(): value.strip() for name, _, value in fields}, content))
    return found
