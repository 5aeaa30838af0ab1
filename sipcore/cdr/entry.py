"""The lines of the journal: what may be said, how a line is written and read, in which files.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON, a newline. JSON has
no raw newline, so a line that a power cut tore ends at the next newline and its checksum tells.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from sipcore.cdr.record import Cdr

SEGMENT_NAME = "journal-{:06d}.jsonl"
_SEGMENT = re.compile(r"journal-([0-9]{6,})\.jsonl")


class Answered(Struct, frozen=True, tag="answered", tag_field="is"):
    """A call was answered. On disk before the 200 goes on to the caller."""

    cdr: Cdr


class Ended(Struct, frozen=True, tag="ended", tag_field="is"):
    """An attempt is over, answered or not: its record, whole."""

    cdr: Cdr


class Alive(Struct, frozen=True, tag="alive", tag_field="is"):
    """When each answered call last showed life: {Cdr.id: UTC seconds}. Written at `wall_s`."""

    wall_s: float
    proofs: dict[str, float]


Entry = Answered | Ended | Alive

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def to_line(entry: Entry) -> bytes:
    """Write one line."""
    text = _encode(entry)
    return b"%08x %b\n" % (zlib.crc32(text), text)


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
