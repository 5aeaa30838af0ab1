"""What processes have cost so far, from /proc (proc(5)). Linux only."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")


class Reading(Struct, frozen=True):
    """CPU seconds of each named process since it started, at a time of the wall clock."""

    at: float
    cpu_s: Mapping[str, float]


def cpu_ticks(stat: str) -> int:
    """Return user and system ticks of a /proc/PID/stat line. Its threads, dead ones too, count.

    The name stands in brackets and may hold spaces and brackets itself.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def parent_of(stat: str) -> int:
    """Return the parent's pid of a /proc/PID/stat line."""
    return int(stat.rpartition(")")[2].split()[1])


def role_of(cmdline: bytes) -> str:
    """Name a process of a node by its command line: `python -m sipcore.serve media-0`.

    Any other is taken for the supervisor.
    """
    words = cmdline.decode("utf-8", "replace").split("\0")
    for at, word in enumerate(words[:-1]):
        if word == "sipcore.serve" and words[at + 1]:
            return words[at + 1]
    return "supervisor"


def family(pid: int) -> dict[str, int]:
    """Return {role: pid} of a supervisor and its children."""
    found = {"supervisor": pid}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if parent_of((folder / "stat").read_text()) == pid:
                role = role_of((folder / "cmdline").read_bytes())
                found.setdefault(role, int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process. Raises OSError when it is gone."""
    return cpu_ticks((PROC / str(pid) / "stat").read_text()) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Return the memory that a process holds, in KiB. Raises OSError when it is gone."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def busy_ticks(stat: str, core: int) -> int:
    """Return the ticks that a core was not idle, by /proc/stat; a hypervisor's part counts."""
    for line in stat.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, *rest = map(int, fields[:8])
            return user + nice + system + sum(rest)
    return 0


def busy_s(core: int) -> float:
    """Return for how many seconds a core was not idle since the machine started."""
    return busy_ticks((PROC / "stat").read_text(), core) / os.sysconf("SC_CLK_TCK")


def read(pids: Mapping[str, list[int]], at: float) -> Reading:
    """Read all processes; several under one name are added up."""
    return Reading(at, {name: sum(map(cpu_s, several)) for name, several in pids.items()})


def cost(before: Reading, after: Reading, operations: float) -> dict[str, float]:
    """Return CPU seconds per 1,000 operations of each process."""
    thousands = operations / 1000
    return {name: (after.cpu_s[name] - was) / thousands for name, was in before.cpu_s.items()}


def end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """End a process of ours by its pid: asked first, killed if it takes longer than that."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(patience_s)
