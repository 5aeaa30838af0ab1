"""What happens to bytes on their way: a few of them turn, go, come twice or are another's."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

TORTURE = Path(__file__).parents[1] / "data" / "torture"
BITS = (
    b"\r\n", b"\r\n ", b"\n", b"\r", b'"', b"\\", b"<", b">", b";", b",", b":", b"=", b"@", b"%",
    b"%00", b"\0", b"\xff", b"\xe4\xbd", b" ", b"\t", b"0", b"-1", b"4294967296", b"9999999999999",
    b"\r\n\r\n", b"[::1]", b"sip:", b"tel:", b"*", b"()", b"SIP/2.0", b"\xd9\xa3",
)  # fmt: skip
LONGEST_RUN = 60
NUMBER = re.compile(rb"[0-9]+")


def torture() -> list[bytes]:
    """Return the messages of RFC 4475 and RFC 5118."""
    return [path.read_bytes() for path in sorted(TORTURE.rglob("*.dat"))]


def mutilated(data: bytes, dice: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Let something happen to bytes, one to four times."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        _hurt(found, dice, others)
    return bytes(found)


def _hurt(found: bytearray, dice: random.Random, others: Sequence[bytes]) -> None:
    at = dice.randrange(len(found) + 1)
    to = min(len(found), at + dice.randint(1, LONGEST_RUN))
    match dice.randrange(8):
        case 0 if at < len(found):
            found[at] ^= 1 << dice.randrange(8)
        case 1:
            del found[at:to]
        case 2:
            found[at:at] = found[at:to]
        case 3:
            found[at:at] = found[at:to] * dice.choice([2, 50, 400])
        case 4:
            found[at:at] = dice.choice(BITS)
        case 5 if others:
            other = dice.choice(others)
            found[at:] = other[min(at, len(other)) :]
        case 6:
            _move_a_line(found, dice)
        case 7:
            _change_a_number(found, dice)


def _move_a_line(found: bytearray, dice: random.Random) -> None:
    lines = bytes(found).split(b"\r\n")
    lines.insert(dice.randrange(len(lines)), dice.choice(lines))
    found[:] = b"\r\n".join(lines)


def _change_a_number(found: bytearray, dice: random.Random) -> None:
    numbers = list(NUMBER.finditer(found))
    if numbers:
        one = dice.choice(numbers)
        found[one.start() : one.end()] = str(dice.choice([0, 1, 2**16, 2**31, 2**64])).encode()
