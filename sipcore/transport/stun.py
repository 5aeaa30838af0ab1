"""STUN as a keep-alive on the SIP socket (RFC 5626 3.5.2): a binding request is told where it came
from (RFC 8489; RFC 3489 for clients without the magic cookie). Pure; nothing else of STUN is here.
"""

import ipaddress
import struct

REQUEST, SUCCESS, REFUSAL = 0x0001, 0x0101, 0x0111
COOKIE = 0x2112A442
MAPPED, XOR_MAPPED, ERROR_CODE, UNKNOWN = 0x0001, 0x0020, 0x0009, 0x000A
REQUIRED = 0x8000  # attributes below it must be understood (RFC 8489 14)
UNDERSTOOD = frozenset({0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E})  # signing in: none
MOST_UNKNOWN = 8
_HEAD = struct.Struct(">HHI12s")
_ATTRIBUTE = struct.Struct(">HH")


def answer(data: bytes, address: str, port: int) -> bytes | None:
    """Return what a datagram is answered with; None for what is no binding request."""
    if len(data) < _HEAD.size:
        return None
    kind, size, cookie, transaction = _HEAD.unpack_from(data)
    if kind != REQUEST or size % 4 or size != len(data) - _HEAD.size:
        return None
    unknown = _unknown(data)
    if unknown is None:
        return None
    if unknown:
        said = _attribute(ERROR_CODE, b"\0\0\4\x14Unknown Attribute")  # 420
        said += _attribute(UNKNOWN, struct.pack(f">{len(unknown)}H", *unknown))
        return _HEAD.pack(REFUSAL, len(said), cookie, transaction) + said
    is_old = cookie != COOKIE
    mask = b"" if is_old else data[4:20]
    said = _attribute(MAPPED if is_old else XOR_MAPPED, _place(address, port, mask))
    return _HEAD.pack(SUCCESS, len(said), cookie, transaction) + said


def _unknown(data: bytes) -> list[int] | None:
    """Return the attributes that must be understood and are not; None where they are cut off."""
    found: list[int] = []
    at = _HEAD.size
    while at < len(data):
        kind, size = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size + (size + 3) // 4 * 4
        if kind < REQUIRED and kind not in UNDERSTOOD and len(found) < MOST_UNKNOWN:
            found.append(kind)
    return found if at == len(data) else None


def _place(address: str, port: int, mask: bytes) -> bytes:
    packed = ipaddress.ip_address(address.partition("%")[0]).packed
    family = 2 if len(packed) == 16 else 1
    if mask:
        port ^= int.from_bytes(mask[:2], "big")
        packed = bytes(one ^ other for one, other in zip(packed, mask, strict=False))
    return struct.pack(">xBH", family, port) + packed


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)
