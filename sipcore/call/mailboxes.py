"""How many messages wait for an extension. In memory; who records messages tells it here."""

from collections.abc import Callable

from sipcore.call.lamp import Line
from sipcore.message.notify import Counts

NOTHING = Counts()


class Mailboxes:
    """The counts of all mailboxes of a node. `on_change` is told whose have changed."""

    def __init__(self) -> None:
        self._counts: dict[Line, Counts] = {}
        self.on_change: Callable[[Line], None] = lambda line: None

    def of(self, line: Line) -> Counts:
        """Return the counts of an extension."""
        return self._counts.get(line, NOTHING)

    def put(self, line: Line, counts: Counts) -> None:
        """Set the counts of an extension."""
        if counts == self.of(line):
            return
        if counts == NOTHING:
            del self._counts[line]
        else:
            self._counts[line] = counts
        self.on_change(line)
