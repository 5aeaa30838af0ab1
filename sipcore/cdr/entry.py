"""The lines of the journal: what may be said, how a line is written and read, in which files.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON, a newline. JSON has
no raw newline, so a line that a power cut tore ends at the next newline and its checksum tells.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from sipcore.cdr.record import Cdr

SEGMENT_NAME = "journal-{:06d}.jsonl"
_SEGMENT = re.compile(r"journal-([0-9]{6,})\.jsonl")


Side = Literal["a", "b"]


class LegLine(Struct, frozen=True, array_like=True, gc=False):
    """What a BYE on one leg needs (RFC 3261 12.2.1.1). Octets stand as text, one character each.

    `local` and `remote` are From and To of our requests, tags included; `number` is the last CSeq
    of ours; `flow` has transport, local address and port, remote address and port; `domain` is what
    the peer's certificate must prove. `peer`: "carrier:ID" or "trunk:ID", whose login may be asked
    for.
    """

    side: Side
    call_id: str
    local: str
    remote: str
    number: int
    target: str
    flow: tuple[str, str, int, str, int]
    route: tuple[str, ...] = ()
    domain: str = ""
    peer: str = ""


class Answered(Struct, frozen=True, tag="answered", tag_field="is", omit_defaults=True):
    """A call was answered. On disk before the 200 goes on to the caller.

    `media` has side, m-line and RTP port of its streams, in the order they were opened. Another
    line with the same id takes the place of the first: after a transfer `legs` are those that the
    record still has, none if it is over, and `media_call` is the id under which workers know it.
    """

    cdr: Cdr
    legs: tuple[LegLine, ...] = ()
    media: tuple[tuple[Side, int, int], ...] = ()
    media_call: str = ""

    @property
    def media_id(self) -> str:
        return self.media_call or self.cdr.id


class Moved(Struct, frozen=True, tag="moved", tag_field="is"):
    """The peer of an answered call's leg is somewhere else: a new Contact, another flow."""

    id: str
    leg: LegLine


class Ended(Struct, frozen=True, tag="ended", tag_field="is"):
    """An attempt is over, answered or not: its record, whole."""

    cdr: Cdr


class Alive(Struct, frozen=True, tag="alive", tag_field="is"):
    """When each answered call last showed life: {Cdr.id: UTC seconds}. Written at `wall_s`."""

    wall_s: float
    proofs: dict[str, float]


Entry = Answered | Moved | Ended | Alive

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def to_line(entry: Entry) -> bytes:
    """Write one line. Octets that are no UTF-8 become question marks; never raises."""
    try:
        text = _encode(entry)
    except UnicodeEncodeError:
        text = _encode(_readable(entry))
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _readable(entry: Entry) -> Entry:
    if not isinstance(entry, Answered | Ended):
        return entry
    texts = {name: text for name, text in asdict(entry.cdr).items() if isinstance(text, str)}
    clean = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    return replace(entry, cdr=replace(entry.cdr, **clean))


def parse_line(line: bytes) -> Entry | None:
    """Read one line; None when it is torn, its checksum is wrong, or a later sipcore wrote it."""
    text = line[9:-1]
    if line[-1:] != b"\n" or line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def segments(folder: Path) -> list[tuple[int, Path]]:
    """Return (number, file) of every segment, oldest first. A folder that is not there has none."""
    if not folder.is_dir():
        return []
    matches = ((_SEGMENT.fullmatch(file.name), file) for file in folder.iterdir())
    return sorted((int(match[1]), file) for match, file in matches if match)


def read_lines(segment: Path) -> Iterator[tuple[bytes, Entry | None]]:
    """Yield every line of a segment with what it says, None for a broken one. Raises OSError."""
    with segment.open("rb") as file:
        for line in file:
            yield line, parse_line(line)
