"""What a glance at bytes tells of a request that wants something new: enough to refuse it without
reading it whole. What looks unusual is None here: the parser reads it as ever."""

import re
from collections.abc import Container

from msgspec import Struct

from sipcore.message.flow import Flow

NEW_WORK = (
    b"INVITE ",
    b"REGISTER ",
    b"SUBSCRIBE ",
    b"OPTIONS ",
    b"MESSAGE ",
    b"PUBLISH ",
    b"REFER ",
)
_FIELDS = re.compile(
    rb"\r\n(Via|v|From|f|To|t|Call-ID|i|CSeq|Authorization|Proxy-Authorization|P-Called-Party-ID)"
    rb"[ \t]*:[ \t]*"
    rb"([^\r\n]*)",
    re.IGNORECASE,
)
_FULL = {b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id"}
_VIA = re.compile(
    rb"SIP/2\.0/[A-Z]+ ([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    rb"((?:;[A-Za-z0-9.!%*_+`'~-]+(?:=[^\";,<> \t]+)?)+)"
)
_BRANCH = re.compile(rb";branch=(z9hG4bK[A-Za-z0-9.!%*_+`'~-]+)(?=;|$)")
_RPORT = re.compile(rb";rport(?=;|$)")
_USER = re.compile(rb"(?:sips?|tel):([^@;>?]*)", re.IGNORECASE)
_MOST_PREFIX = 4  # digits before a short number: 0086
_NO_DIGIT = re.compile(rb"[^0-9]+")


class Glance(Struct, frozen=True):
    """A request outside any dialog. `number`: the digits of whom it is for; `key`: branch, sent-by
    and method, as a server transaction has them."""

    method: str
    number: str
    call_id: bytes
    key: tuple[str, ...]
    is_signed: bool
    via: bytes
    fields: dict[bytes, bytes]
    vias_below: tuple[bytes, ...]

    def calls_any(self, numbers: Container[str]) -> bool:
        """Tell whether this is a call to one of these short numbers, with a country's code or
        without, wherever peers may put the number that is dialled."""
        if self.method != "INVITE":
            return False
        rows = (self.fields[b"to"], self.fields.get(b"p-called-party-id", b""))
        users = [_digits(user[1]) for row in rows if (user := _USER.search(row)) is not None]
        called = (self.number, *users)
        return any(one[-3:] in numbers and len(one) <= 3 + _MOST_PREFIX for one in called)


def glance(data: bytes) -> Glance | None:
    """Return what is seen, or None for all that is no plain request for something new."""
    if not data.startswith(NEW_WORK):
        return None
    head = data[: data.find(b"\r\n\r\n") + 2]
    line = head[: head.find(b"\r\n")]
    if not line.endswith(b" SIP/2.0") or b"%" in line or b"\r\n " in head or b"\r\n\t" in head:
        return None
    vias: list[bytes] = []
    fields: dict[bytes, bytes] = {}
    for name, value in _FIELDS.findall(head):
        lower = name.lower()
        lower = _FULL.get(lower, lower)
        if lower == b"via":
            vias.append(value)
        elif lower in fields and not lower.endswith(b"authorization"):
            return None
        else:
            fields[lower] = value
    if not vias or not {b"from", b"to", b"call-id", b"cseq"} <= fields.keys():
        return None
    via = _VIA.fullmatch(vias[0])
    if via is None or b"tag=" in fields[b"to"].lower() or b";received" in via[3]:
        return None
    branch = _BRANCH.search(via[3])
    if branch is None or len(_RPORT.findall(via[3])) != 1:
        return None
    method, _, rest = line.partition(b" ")
    called = rest.partition(b" ")[0].partition(b":")[2].partition(b"@")[0]
    return Glance(
        method.decode(),
        _digits(called.partition(b";")[0]),
        fields[b"call-id"],
        (branch[1].decode(), f"{via[1].decode().lower()}:{int(via[2] or 5060)}", method.decode()),
        b"authorization" in fields or b"proxy-authorization" in fields,
        vias[0],
        fields,
        tuple(vias[1:]),
    )


def _digits(text: bytes) -> str:
    return _NO_DIGIT.sub(b"", text).decode()


def refusal(seen: Glance, flow: Flow, tag: str, retry_after_s: int) -> bytes:
    """Write the 503 (RFC 3261 21.5.4), its topmost Via stamped (18.2.1, RFC 3581 4)."""
    stamp = f";rport={flow.remote_port};received={flow.remote_address}".encode()
    vias = (_RPORT.sub(stamp, seen.via), *seen.vias_below)
    fields = seen.fields
    return b"".join(
        (
            b"SIP/2.0 503 Service Unavailable\r\n",
            *[b"Via: " + via + b"\r\n" for via in vias],
            b"From: ", fields[b"from"],
            b"\r\nTo: ", fields[b"to"], b";tag=", tag.encode(),
            b"\r\nCall-ID: ", fields[b"call-id"],
            b"\r\nCSeq: ", fields[b"cseq"],
            b"\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n" % retry_after_s,
        )
    )  # fmt: skip
