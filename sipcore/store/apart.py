"""An import in a process of its own: reading a large file holds Python's lock for seconds, and the
process that carries calls must not stand still for it. Here are both ends.

The file goes to the child's standard input, the Book comes back in memory that both share (memfd),
what became of it on standard output.
"""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from sipcore.clock import SystemClock
from sipcore.errors import BadConfig
from sipcore.store.database import StoreFault
from sipcore.store.importer import Report
from sipcore.store.rows import Site
from sipcore.store.sqlite import Store

NICE = 5  # calls go first
IMPORT_S = 280.0  # less than who asked for it waits


class _Task(Struct, frozen=True):
    folder: str
    site: Site
    text: str


class _Outcome(Struct, frozen=True):
    """`faults` are the file's; `fault` is the disk's. `build_s`: reading what is stored, and
    making the Book of it."""

    report: Report | None = None
    faults: list[str] = []
    fault: str = ""
    build_s: float = 0.0


class Imported(Struct, frozen=True):
    """`book` is for handover.unpack. `build_s`: what it took to make, off the loop."""

    report: Report
    book: memoryview
    build_s: float


def import_apart(folder: Path, site: Site, text: str) -> Imported:
    """Import a file in another process and return the Book. Blocks: call it from a thread.

    Raises BadConfig with every fault of the file, and StoreFault.
    """
    fd = os.memfd_create("sipcore-book", os.MFD_CLOEXEC)
    try:
        task = msgspec.msgpack.encode(_Task(str(folder), site, text))
        outcome = _run(task, fd)
        if outcome.faults:
            raise BadConfig(outcome.faults)
        if outcome.report is None:
            raise StoreFault(outcome.fault)
        book = memoryview(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
    finally:
        os.close(fd)
    return Imported(outcome.report, book, outcome.build_s)


def _run(task: bytes, fd: int) -> _Outcome:
    command = [sys.executable, "-m", "sipcore.store.apart", str(fd)]
    try:
        done = subprocess.run(
            command, input=task, capture_output=True, pass_fds=(fd,), timeout=IMPORT_S, check=True
        )
        return msgspec.msgpack.decode(done.stdout, type=_Outcome)
    except subprocess.CalledProcessError as fault:
        last = fault.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise StoreFault(f"the import ended with status {fault.returncode}: {last}") from None
    except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError) as fault:
        raise StoreFault(f"the import could not be done: {fault}") from None


def _serve(task: _Task, fd: int) -> _Outcome:
    store = Store.open(Path(task.folder), task.site)
    try:
        report = store.import_provisioning(task.text)
        began = _now()
        data = store.pack_book()
        build_s = _now() - began
    except BadConfig as bad:
        return _Outcome(faults=bad.faults)
    except StoreFault as fault:
        return _Outcome(fault=str(fault))
    finally:
        store.close()
    with os.fdopen(fd, "wb", closefd=False) as memory:
        memory.write(data)
    return _Outcome(report, build_s=build_s)


def _now() -> float:
    return SystemClock().monotonic()


def main() -> int:
    """Be the child: the number of the shared memory is the one argument."""
    os.nice(NICE)
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Task)
    outcome = _serve(task, int(sys.argv[1]))
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
