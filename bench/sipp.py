"""SIPp as load generator and as carrier: command line, lifetime, and the files that it leaves."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

SCENARIOS = Path(__file__).with_name("scenarios")
Points = list[tuple[float, float]]


class Statistics(Struct, frozen=True):
    """A SIPp run's totals.

    `finished` is how many operations were done by when; `delays` when it was how long between the
    first message and the 200, in seconds since the start and in milliseconds.
    """

    created: int
    done: int
    failed: int
    retransmitted: int
    finished: Points
    delays: Points = []


def parse_statistics(text: str) -> dict[str, list[str]]:
    """Read a -trace_stat file: its columns by name, a row a period. Cut-off rows are left out."""
    rows = [line.split(";") for line in text.splitlines() if line]
    if not rows:
        return {}
    names, rest = rows[0], [row for row in rows[1:] if len(row) >= len(rows[0])]
    return {name: [row[at] for row in rest] for at, name in enumerate(names) if name}


def parse_counts(text: str) -> dict[str, int]:
    """Read the last row of a -trace_counts file: {"0_INVITE_Sent": 300, …}."""
    rows = [line.split(";") for line in text.splitlines() if line]
    if len(rows) < 2:
        return {}
    return {
        name: int(value)
        for name, value in zip(rows[0], rows[-1], strict=False)
        if name[:1].isdigit() and value.isdigit()
    }


def parse_delays(text: str) -> Points:
    """Read a -trace_rtt file: when, in seconds since the start, and how long, in milliseconds."""
    rows = [line.split(";") for line in text.splitlines()[1:]]
    return [(float(row[0]) / 1000, float(row[1])) for row in rows if len(row) == 3]


def statistics(stat: str, counts: str, delays: str = "") -> Statistics:
    """Return the totals. Retransmitted: every message that SIPp sent or received again."""
    columns = parse_statistics(stat)
    again = sum(n for name, n in parse_counts(counts).items() if name.endswith("_Retrans"))
    finished = [
        (float(at.rpartition("\t")[2]), float(count))
        for at, count in zip(
            columns.get("CurrentTime", ()), columns.get("SuccessfulCall(C)", ()), strict=True
        )
    ]
    last = {name: values[-1] for name, values in columns.items() if values}
    return Statistics(
        int(last.get("TotalCallCreated", 0)),
        int(last.get("SuccessfulCall(C)", 0)),
        int(last.get("FailedCall(C)", 0)),
        again,
        finished,
        parse_delays(delays),
    )


class Sipp:
    """One SIPp process in a folder of its own, on one core. Ended by leaving the block."""

    def __init__(self, folder: Path, scenario: str, options: Sequence[str], core: int) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._argv = [
            "sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-nostdin", "-trace_stat",
            "-stf", str(folder / "stat.csv"), "-fd", "1", "-trace_counts", "-trace_err",
            "-trace_rtt", "-rtt_freq", "10", "-skip_rlimit",
            "-error_file", str(folder / "errors.log"), *options,
        ]  # fmt: skip
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sipp":
        with (self._folder / "screen.log").open("wb") as screen:
            self._process = subprocess.Popen(
                self._argv, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=screen, env={**os.environ, "TERM": "dumb"},
            )  # fmt: skip
        os.sched_setaffinity(self._process.pid, {self._core})
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, wait_s: float = 2.0) -> None:
        """Ask it to finish, which writes its last figures; then make it."""
        if self._process is None:
            return
        for way in (signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            self._process.send_signal(way)
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue

    def statistics(self) -> Statistics:
        """Read what it has written so far."""
        return statistics(*map(self._written, ("stat.csv", "*_counts.csv", "*_rtt.csv")))

    def _written(self, pattern: str) -> str:
        path = next(self._folder.glob(pattern), None)
        return path.read_text() if path else ""

    def complaint(self) -> str:
        """Return the first things that it found wrong; what it says on its screen, if it died."""
        is_dead = self._process is not None and self._process.returncode not in (0, 1, None)
        for name in ("errors.log", "screen.log") if is_dead else ("errors.log",):
            path = self._folder / name
            text = path.read_text("utf-8", "replace").strip() if path.exists() else ""
            if text:
                return " / ".join(text.splitlines()[:6])
        return ""
