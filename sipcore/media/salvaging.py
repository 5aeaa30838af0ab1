"""Finishes recordings that dead workers left, beside calls: in threads, each file once at a time.

What is done to a file is staging.py's.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from sipcore.log import logger
from sipcore.media.staging import salvage

_log = logger(__name__)


class Salvaging:
    """One per signalling process. Make it inside the running loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._doing: dict[str, asyncio.Future[str]] = {}

    async def finish(self, name: str) -> str:
        """Finish one recording; return its SHA-256, or "" as `salvage` does. Who asks for a file
        that is being finished waits for the same."""
        doing = self._doing.get(name)
        if doing is None:
            work = asyncio.to_thread(salvage, self._folder, name)
            doing = self._doing[name] = asyncio.ensure_future(work)
            doing.add_done_callback(lambda done: self._doing.pop(name))
        return await asyncio.shield(doing)

    async def finish_all(self, names: Iterable[str]) -> None:
        """Finish what was left, one after the other; the digests go to the log.

        Records of calls that are still to be ended get theirs, too; others have the name already.
        """
        for name in names:
            if digest := await self.finish(name):
                _log.warning(
                    "recording=%s was left behind and is finished, sha256=%s", name, digest
                )
