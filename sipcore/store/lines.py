"""Where a key stands in a TOML text: tomllib reads values and forgets their lines.

Made only once a fault is to be shown, over a text that tomllib has already read without complaint.
"""

import re

from sipcore.rating.tables import Place

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?[^\n]*")
_ASSIGNMENT = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_EACH_KEY = re.compile(_KEY)
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[{]|[\]}]|\n"
    r"|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


class Lines:
    """Lines, from 1, of the tables and keys of a TOML text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}  # of tables in each array seen so far
        table: Place = ()
        at, line = 0, 1
        while at < len(text):
            if (header := _HEADER.match(text, at)) is not None:
                table = self._enter(header[2], is_array=header[1] == "[[")
                self._lines.setdefault(table, line)
                at = header.end()
            elif (assignment := _ASSIGNMENT.match(text, at)) is not None:
                keys = _keys(assignment[1])
                for length in range(1, len(keys) + 1):
                    self._lines.setdefault((*table, *keys[:length]), line)
                at = assignment.end()
            end = _end_of_value(text, at)
            line += text.count("\n", at, end)
            at = end

    def find(self, place: Place) -> int:
        """Return the line of a place, else of the nearest place around it, else 1."""
        for length in range(len(place), 0, -1):
            if (line := self._lines.get(place[:length])) is not None:
                return line
        return 1

    def _enter(self, dotted: str, is_array: bool) -> Place:
        """Return the place of the table that a header opens."""
        place: Place = ()
        *outer, last = _keys(dotted)
        for key in outer:
            place = (*place, key)
            if (count := self._counts.get(place)) is not None:
                place = (*place, count - 1)
        place = (*place, last)
        if not is_array:
            return place
        position = self._counts.get(place, 0)
        self._counts[place] = position + 1
        return (*place, position)


def _keys(dotted: str) -> list[str]:
    return [key.strip("\"'") for key in _EACH_KEY.findall(dotted)]


def _end_of_value(text: str, at: int) -> int:
    """Return the position after the line end that closes the value, strings and arrays skipped."""
    depth = 0
    while (token := _TOKEN.match(text, at)) is not None:
        at = token.end()
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        elif first == "\n" and depth <= 0:
            return at
    return len(text)
