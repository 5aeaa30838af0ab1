"""Tables for people: aligned columns, Chinese characters counted as wide as terminals draw them."""

import unicodedata
from collections.abc import Sequence

from sipcore.control import Cell, Table


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes (Unicode Annex 11; marks take none)."""
    return sum(
        0
        if unicodedata.combining(char) or unicodedata.category(char) == "Cf"
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def to_text(table: Table) -> str:
    """Write a table, numbers to the right, with a heading. An empty one has no lines."""
    if not table.rows:
        return ""
    cells = [[_text(cell) for cell in row] for row in table.rows]
    lines = [[name.upper() for name in table.columns], *cells]
    widths = [max(width(line[n]) for line in lines) for n in range(len(table.columns))]
    numeric = [all(_is_number(row[n]) for row in table.rows) for n in range(len(widths))]
    return "\n".join(_line(line, widths, numeric) for line in lines) + "\n"


def to_objects(table: Table) -> list[dict[str, Cell]]:
    """Return the rows as objects, for programs."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        " " * (wide - width(cell)) + cell if right else cell + " " * (wide - width(cell))
        for cell, wide, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(padded).rstrip()


def _text(cell: Cell) -> str:
    """No control character reaches the terminal: a phone's user agent may be anything."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.1f}"
    return "".join(char if char.isprintable() else "?" for char in str(cell))


def _is_number(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))
