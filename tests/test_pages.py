"""Large pages: which parts of a process they are asked for."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from sipcore.pages import PAGE_BYTES, stretches

MAPS = """\
55d0c0000000-55d0c0600000 rw-p 00000000 00:00 0                          [heap]
7f0000001000-7f0000601000 rw-p 00000000 00:00 0
7f0001000000-7f0001001000 ---p 00000000 00:00 0
7f0001001000-7f0001801000 rw-p 00000000 00:00 0
7f0002000000-7f0002400000 r-xp 00000000 08:01 1234                       /usr/lib/libc.so.6
7f0003000000-7f0003400000 rw-p 00000000 08:01 1234                       /usr/lib/libc.so.6
7f0004000000-7f0004400000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7ffd00000000-7ffd00400000 rw-p 00000000 00:00 0                          [stack]
"""


def test_heap_alone_is_asked_for_in_whole_pages() -> None:
    assert [hex(at) for at in stretches(MAPS)] == [
        *("0x55d0c0000000", "0x55d0c0200000", "0x55d0c0400000"),
        *("0x7f0000200000", "0x7f0000400000"),
    ]


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 26))
def test_no_page_reaches_beyond_its_region(start: int, size: int) -> None:
    start, size = start << 12, size >> 12 << 12
    found = list(stretches(f"{start:x}-{start + size:x} rw-p 00000000 00:00 0\n"))
    assert all(at % PAGE_BYTES == 0 for at in found)
    assert all(start <= at and at + PAGE_BYTES <= start + size for at in found)
    assert len(found) >= size // PAGE_BYTES - 1


def test_what_was_remembered_is_the_same_afterwards() -> None:
    """In a process of its own; whether the kernel gives large pages or not."""
    program = (
        "from sipcore.pages import LargePages\n"
        "kept = [str(at) * 20 for at in range(200_000)]\n"
        "pages = LargePages()\n"
        "for most in (4, 4, 1000, 1000):\n"
        "    assert pages.gather(most) <= most\n"
        "assert kept == [str(at) * 20 for at in range(200_000)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
