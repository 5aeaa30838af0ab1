"""Parts: the records of a call that was transferred, each as long as its callee's leg lives.

The first is the call's own; each attempt that a transfer led to adds one. Where no callee is left,
because both had called the one who joined them, the last record goes on: no talk is without one.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from sipcore.call.draft import Draft
from sipcore.call.ending import Ending
from sipcore.call.keep import keep
from sipcore.call.leg import Leg, Side
from sipcore.cdr.entry import Answered, Entry
from sipcore.cdr.record import Cdr
from sipcore.media.session import LegStatistics, MediaSession


class Part(Struct):
    """A record that is being written. `figures` are there where another session had its media."""

    draft: Draft
    callee: Leg
    end: Ending | None = None
    figures: dict[str, LegStatistics] | None = None

    def close(self, end: Ending) -> None:
        """Note that this part is over, while its call goes on."""
        self.end = end
        self.draft.hang_up()

    def finish(
        self, sides: Mapping[Side, Leg], end: Ending, figures: dict[str, LegStatistics]
    ) -> tuple[Cdr, Ending]:
        """Return the whole record, and why it ended."""
        mine = self.end or self._seen(sides, end)
        return self.draft.finish(mine, figures if self.figures is None else self.figures), mine

    def _seen(self, sides: Mapping[Side, Leg], end: Ending) -> Ending:
        """The record's caller may be on the call's b side by now."""
        if end.by == "node":
            return end
        leg = sides["a" if end.by == "caller" else "b"]
        return replace(end, by="callee" if leg is self.callee else "caller")


def open_parts(parts: Iterable[Part]) -> list[Part]:
    """Return those that go on."""
    return [part for part in parts if part.end is None]


def of_leg(parts: Iterable[Part], leg: Leg) -> Part:
    """Return the part whose journal lines tell of a leg: its callee's, else the first open one."""
    going_on = open_parts(parts)
    return next((part for part in going_on if part.callee is leg), going_on[0])


def leave(parts: list[Part], leg: Leg, end: Ending) -> None:
    """Close what lived by a leg that leaves; the last one stays open."""
    for part in open_parts(parts):
        if part.callee is leg and len(open_parts(parts)) > 1:
            part.close(end)


def lines(
    call_id: str, parts: list[Part], sides: Mapping[Side, Leg], media: MediaSession
) -> list[Entry]:
    """Return what the journal must know to end the call after a crash: each leg once."""
    entries: list[Entry] = []
    for part in parts:
        if part.end is not None:
            entries.append(Answered(part.draft.so_far(part.end), media_call=call_id))
            continue
        legs = tuple(keep(leg) for leg in sides.values() if of_leg(parts, leg) is part)
        entries.append(Answered(part.draft.so_far(), legs, media.rows(), call_id))
    return entries
