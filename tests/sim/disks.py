"""Journals on disks that hang or fail."""

import asyncio

from sipcore.cdr.journal import InlineJournal, JournalError
from tests.sim.world import World


class SlowJournal(InlineJournal):
    """A disk that hangs for a second."""

    async def sync(self) -> None:
        await asyncio.sleep(1)


class RefusingJournal(InlineJournal):
    """A disk that takes everything but does not say so."""

    async def sync(self) -> None:
        raise JournalError("no space left on device")


def give(here: World, kind: type[InlineJournal]) -> None:
    """Give the node a journal of that kind."""
    journal = kind(here.folder / "journal", here.metrics)
    journal.start()
    here.node.desk.journal = journal
