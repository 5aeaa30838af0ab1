"""Where recordings lie: in one flat folder while they grow, in the folder of their day after.

Whoever writes a staged file holds its lock (flock), which dies with its process: what can be locked
was left behind, and is finished here. No numpy: signalling does that, too.
"""

import fcntl
import hashlib
import os
import time
from pathlib import Path

from sipcore.log import logger
from sipcore.media import wav

LOCK_S = 0.3
STAGE = "open"  # folder of the staged files
PART = ".part"
SIDES = (".a.rtpdump", ".b.rtpdump")  # what stands beside a WAV file instead of its suffix

_log = logger(__name__)


def staged(folder: Path, name: str) -> Path:
    """Return the staged file of `name`, YYYY/MM/DD/ID.wav: flat, so that a look finds them all."""
    return folder / STAGE / (name.replace("/", "-") + PART)


def named(file: Path) -> str:
    """Return the name that a staged file will have."""
    return file.name.removesuffix(PART).replace("-", "/", 3)


def beside(name: str, ending: str) -> str:
    """Return the name of a file that belongs to a recording; `ending` is one of SIDES."""
    return name.removesuffix(".wav") + ending


def open_staged(folder: Path, name: str) -> int:
    """Open a file for writing, a new one or one that was left behind; return its descriptor.

    A file that was finished already (its worker stopped in the middle of the call) is taken up
    again. Raises OSError, BlockingIOError where another process writes it.
    """
    file, final = staged(folder, name), folder / name
    _make(file.parent, folder)
    if not file.exists() and final.exists():
        final.rename(file)
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            return _lock(file, os.O_CREAT)
        except BlockingIOError:  # of a process that has just died: its files close in no order
            if time.monotonic() > deadline:
                raise
            time.sleep(LOCK_S / 30)


def _lock(file: Path, more: int = 0) -> int:
    """Open a file that nobody else writes. Raises OSError."""
    fd = os.open(file, os.O_RDWR | os.O_CLOEXEC | more, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def settle(folder: Path, name: str) -> None:
    """Move a whole file to its place, and have that on disk. Raises OSError."""
    final = folder / name
    _make(final.parent, folder)
    staged(folder, name).rename(final)
    fd = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def close_wav(folder: Path, name: str, fd: int, frames: int) -> str:
    """Cut a staged WAV file to so many frames, make its header right, move it to its place.

    Returns its SHA-256 in hexadecimal. `fd` stays open. Raises OSError.
    """
    os.ftruncate(fd, wav.place(frames))
    os.pwrite(fd, wav.header(frames), 0)
    os.fsync(fd)
    digest = sha256(fd)
    settle(folder, name)
    return digest


def sha256(fd: int) -> str:
    """Return the digest of a whole file. Raises OSError."""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def salvage(folder: Path, name: str) -> str:
    """Finish one recording that was left behind; return its SHA-256.

    "" where there is none, where somebody still writes it, or where the disk does not let us.
    """
    try:
        if not staged(folder, name).exists():
            with (folder / name).open("rb") as file:
                return sha256(file.fileno())
        fd = _lock(staged(folder, name))
    except OSError:
        return ""
    try:
        for ending in SIDES:
            side = beside(name, ending)
            if staged(folder, side).exists():
                settle(folder, side)
        return close_wav(folder, name, fd, wav.frames_in(os.fstat(fd).st_size))
    except OSError as fault:
        _log.error("recording=%s left behind, and cannot be finished: %s", name, fault)
        return ""
    finally:
        os.close(fd)


def staged_names(folder: Path) -> list[str]:
    """Return the names of all recordings that are being written, or were left behind."""
    return [named(file) for file in sorted((folder / STAGE).glob(f"*.wav{PART}"))]


def _make(folder: Path, within: Path) -> None:
    """Make a folder and those above it up to `within`, for nobody's eyes but ours."""
    if folder.is_dir():
        return
    if folder != within:
        _make(folder.parent, within)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
