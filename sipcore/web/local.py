"""What the web process finds out by itself, whether signalling answers or not.

What each process of the node costs, how often it was started again, how full the disk is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sipcore import catalogue
from sipcore.metrics import Family, by_process, family

RESTARTS_NAME = "restarts.json"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


def families(data: Path) -> list[Family]:
    """Return the metrics counted here. `data` is the node's data folder."""
    cpu_s, resident, open_files = {}, {}, {}
    for name, folder in processes():
        try:
            cpu_s[name], resident[name], open_files[name] = cost(folder)
        except OSError:  # it has ended meanwhile
            continue
    disk = os.statvfs(data)
    return [
        by_process(catalogue.UP, {"web": 1}),
        by_process(catalogue.CPU, cpu_s),
        by_process(catalogue.RESIDENT, resident),
        by_process(catalogue.OPEN_FILES, open_files),
        by_process(catalogue.RESTARTS, _restarts(data)),
        family(catalogue.DATA_SIZE, disk.f_blocks * disk.f_frsize),
        family(catalogue.DATA_FREE, disk.f_bavail * disk.f_frsize),
    ]


def processes() -> Iterator[tuple[str, Path]]:
    """Yield name and /proc folder of this process, its supervisor and that one's children."""
    yield "web", PROC / "self"
    supervisor = PROC / str(os.getppid())
    try:
        children = (supervisor / "task" / supervisor.name / "children").read_text("ascii").split()
    except OSError:  # it is gone, or the kernel has no such file
        return
    named = [(name_of(PROC / child), PROC / child) for child in children]
    found = [(name, folder) for name, folder in named if name not in ("", "web")]
    if found:
        yield "supervisor", supervisor
        yield from found


def name_of(process: Path) -> str:
    """Return what a process is in a node; "" where it is none of a node's."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return words[3] if words[1:3] == ["-m", "sipcore.serve"] and len(words) > 3 else ""


def cost(process: Path) -> tuple[float, int, int]:
    """Return CPU seconds, bytes of memory and open files. Raises OSError."""
    after_name = (process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    user, system = int(after_name[11]), int(after_name[12])  # proc(5): fields 14 and 15
    pages = int((process / "statm").read_text("ascii").split()[1])
    files = len(os.listdir(process / "fd"))
    return (user + system) / TICKS_A_SECOND, pages * PAGE_BYTES, files


def _restarts(data: Path) -> dict[str, int]:
    """The supervisor counts how often it started each process again, in a file."""
    try:
        return msgspec.json.decode((data / RESTARTS_NAME).read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return {}
