"""CDRs out of the journal, in order of their ending, as CSV and JSON lines. A node may be running.

Holds about two segments in memory, however many years the journal has.
"""

import csv
import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec

from sipcore.cdr.entry import Ended, read_lines, segments
from sipcore.cdr.record import COLUMNS, Cdr
from sipcore.clock import rfc3339

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9.]*\Z)")
_Cell = str | int | float | bool | None
_CLOCK_SLACK_S = 86400.0  # how far the wall clock may have been set back meanwhile


def read_cdrs(folder: Path, since: float | None = None) -> Iterator[Cdr]:
    """Yield every record that ended at or after `since` (UTC seconds), each id once.

    Two passes: the first learns when each segment's records ended, the second loads a segment when
    its first record is next. A record that says its end late (a call whose end nobody saw) brings
    its segment in early; order is kept all the same. Raises OSError.
    """
    last = ""
    for cdr in _in_order(folder, since):
        if cdr.id != last:  # whole copies stand side by side here, wherever they were written
            yield cdr
        last = cdr.id


def _in_order(folder: Path, since: float | None) -> Iterator[Cdr]:
    """Records by their ends. One id with two ends can only stand in neighbouring segments."""
    waiting: list[tuple[float, str, int, Cdr]] = []
    before: set[str] = set()
    for first, number, segment in sorted(_spans(folder, since)):
        while waiting and waiting[0][0] < first:
            yield heapq.heappop(waiting)[-1]
        known: set[str] = set()
        for cdr in _ended(segment, since):
            if cdr.id not in known and cdr.id not in before:
                known.add(cdr.id)
                heapq.heappush(waiting, (_ended_at(cdr), cdr.id, number, cdr))
        before = known
    while waiting:
        yield heapq.heappop(waiting)[-1]


def write_csv(cdrs: Iterable[Cdr], out: TextIO) -> None:
    """Write RFC 4180 with a header. `out` must not translate newlines.

    Callers and callees are what strangers send: what a spreadsheet would run as a formula begins
    with an apostrophe, which makes it text there. Numbers stay as they are.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_text(cell) for cell in to_row(cdr)] for cdr in cdrs)


def write_jsonl(cdrs: Iterable[Cdr], out: TextIO) -> None:
    """Write one JSON object a line, every column in order, null for what was not reached."""
    for cdr in cdrs:
        row = dict(zip(COLUMNS, to_row(cdr), strict=True))
        out.write(msgspec.json.encode(row).decode() + "\n")


WRITERS: dict[str, Callable[[Iterable[Cdr], TextIO], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
}


def to_row(cdr: Cdr) -> list[_Cell]:
    """Return the cells in the order of COLUMNS; times as RFC 3339, the amount as a decimal."""
    return [_cell(column, getattr(cdr, column)) for column in COLUMNS]


def _cell(column: str, value: _Cell | Decimal) -> _Cell:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return rfc3339(value) if column.endswith("_at") else round(value, 6)
    return value


def _text(cell: _Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):  # never in powers of ten
        return f"{cell:.6f}".rstrip("0").rstrip(".")
    if isinstance(cell, str) and _FORMULA.match(cell):
        return f"'{cell}"
    return str(cell)


def _ended(segment: Path, since: float | None) -> Iterator[Cdr]:
    for _, entry in read_lines(segment):
        if isinstance(entry, Ended) and (since is None or _ended_at(entry.cdr) >= since):
            yield entry.cdr


def _ended_at(cdr: Cdr) -> float:
    return cdr.setup_at if cdr.ended_at is None else cdr.ended_at


def _spans(folder: Path, since: float | None) -> Iterator[tuple[float, int, Path]]:
    """Yield (earliest end, number, segment), leaving out segments with no record to show.

    A segment last written a day before `since` is not opened: nothing in it ended after that.
    """
    for number, segment in segments(folder):
        if since is not None and segment.stat().st_mtime < since - _CLOCK_SLACK_S:
            continue
        first = min(map(_ended_at, _ended(segment, since)), default=None)
        if first is not None:
            yield first, number, segment
