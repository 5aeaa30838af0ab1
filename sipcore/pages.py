"""Large pages for what a process remembers (madvise(2), Linux).

A call touches memory all over the heap, and the processor remembers where few pages are: with 2 MiB
a page it has fewer to look up, which saves signalling 5 % of its CPU (bench/README.md). Where the
kernel gives none, nothing changes.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path

PAGE_BYTES = 2 << 20
MOST_AT_ONCE = 16  # one takes a few milliseconds, in which the process may have to wait for memory
_COLLAPSE = 25  # MADV_COLLAPSE: now, and not when the kernel comes round
_MAPS = Path("/proc/self/maps")


class LargePages:
    """Those of this process. `gather` blocks: call it in a thread."""

    def __init__(self) -> None:
        self._done: set[int] = set()
        self._refused: set[int] = set()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def gather(self, most: int = MOST_AT_ONCE) -> int:
        """Put up to `most` stretches of heap that are new into one large page each.

        Returns how many the kernel took. What it refuses is asked for again after all the others.
        """
        try:
            starts = set(stretches(_MAPS.read_text("utf-8", "replace")))
        except OSError:
            return 0
        self._done &= starts
        new = set(sorted(starts - self._done - self._refused)[:most])
        took = {at for at in new if self._libc.madvise(at, PAGE_BYTES, _COLLAPSE) == 0}
        self._done |= took
        self._refused = self._refused | (new - took) if new else set()
        return len(took)


def stretches(maps: str) -> Iterator[int]:
    """Yield where each 2 MiB begins that is all heap, aligned, from the text of proc_pid_maps(5).

    What stands right above memory that nobody may touch is a thread's stack, and nearly empty.
    """
    guarded = -1
    for line in maps.splitlines():
        where, rights, _, _, inode, *name = line.split(None, 5)
        start, end = (int(text, 16) for text in where.split("-"))
        is_heap = inode == "0" and name in ([], ["[heap]"]) and rights.startswith("rw-p")
        if is_heap and start != guarded:
            yield from range(-(-start // PAGE_BYTES) * PAGE_BYTES, end - PAGE_BYTES + 1, PAGE_BYTES)
        guarded = end if rights.startswith("---") else -1
