"""The journal's files. Blocking calls, one owner; on the event loop only before calls run."""

import contextlib
import os
from pathlib import Path

from sipcore.cdr.entry import SEGMENT_NAME, segments

_TEMPORARY = "journal.tmp"


class Segments:
    """Appends to the newest segment, and begins new ones so that each is whole or not there.

    With `is_durable` a write returns when the bytes are on disk. O_DSYNC rather than write and
    fdatasync: one system call, so one wait for the interpreter lock, and after a failure the bytes
    themselves are written again (a second fsync would report success without them).
    """

    def __init__(self, folder: Path, is_durable: bool = True) -> None:
        self._folder = folder
        self._flags = os.O_WRONLY | (os.O_DSYNC if is_durable else 0)
        self._is_durable = is_durable
        self._fd = -1
        self._at = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number = self._first_free()

    def _first_free(self) -> int:
        """An empty newest segment is used again, so that restarts do not pile up files."""
        known = segments(self._folder)
        if not known:
            return 1
        number, newest = known[-1]
        return number if newest.stat().st_size == 0 else number + 1

    def begin(self, content: bytes) -> None:
        """Begin the next segment with `content`; it is there whole, or not at all. Raises OSError.

        After a failure the present segment stays the present one and begin may be tried again.
        """
        temporary, segment = (
            self._folder / _TEMPORARY,
            self._folder / SEGMENT_NAME.format(self._number),
        )
        fd = os.open(temporary, self._flags | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(fd, content, 0)
            if self._is_durable:
                os.fsync(fd)
            os.replace(temporary, segment)
            self._sync_folder()
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self.close()
        self._fd, self._at, self._number = fd, len(content), self._number + 1

    def write(self, content: bytes) -> None:
        """Append. Raises OSError; the same bytes written again then take the same place."""
        _write_all(self._fd, content, self._at)
        self._at += len(content)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _sync_folder(self) -> None:
        """Make the rename itself survive a power cut."""
        if self._is_durable:
            fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _write_all(fd: int, content: bytes, at: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, at)
        rest, at = rest[written:], at + written
