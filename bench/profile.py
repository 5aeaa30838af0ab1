"""py-spy on a running process, and where its samples went: by function, itself and with callees."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

RATE_HZ = 200
SLACK_S = 20.0
TOP = 40
MAIN = "MainThread"  # other threads wait for a disk, which py-spy takes for work


class Recording:
    """Samples a process from now on; finish() prints where the time went."""

    def __init__(self, pid: int, seconds: float, path: Path) -> None:
        self._path, self._seconds = path, seconds
        py_spy = Path(sys.executable).with_name("py-spy")
        argv = [
            str(py_spy), "record", "--pid", str(pid), "--duration", str(max(1, int(seconds))),
            "--rate", str(RATE_HZ), "--format", "raw", "--function", "--threads",
            "--output", str(path),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def finish(self) -> None:
        try:
            self._process.wait(self._seconds + SLACK_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(SLACK_S)
        if self._path.exists():
            print(to_text(self._path.read_text("utf-8")), file=sys.stderr)
        else:
            print("py-spy left nothing", file=sys.stderr)


def parse(raw: str) -> list[tuple[list[str], int]]:
    """Read py-spy's raw format: `frame;frame;frame 12`, outermost first."""
    stacks = []
    for line in raw.splitlines():
        text, _, count = line.rpartition(" ")
        if text and count.isdigit():
            stacks.append((text.split(";"), int(count)))
    return stacks


def shares(stacks: Iterable[tuple[list[str], int]]) -> tuple[Counter[str], Counter[str], int]:
    """Return samples of each function itself, with its callees, and all samples.

    A function that calls itself counts once a sample.
    """
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    every = 0
    for frames, count in stacks:
        every += count
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    return own, whole, every


def to_text(raw: str, top: int = TOP) -> str:
    """Write the functions that took most, idle samples left out as py-spy does."""
    stacks = [(frames, count) for frames, count in parse(raw) if MAIN in frames[0]]
    own, whole, every = shares(stacks)
    lines = [f"{every} samples of the event loop's thread at {RATE_HZ} Hz"]
    for title, counts in (("itself", own), ("with callees", whole)):
        lines.append(f"-- {title}")
        lines += [
            f"{100 * count / max(1, every):5.1f} %  {name}"
            for name, count in counts.most_common(top)
        ]
    return "\n".join(lines).replace(os.getcwd() + "/", "")
