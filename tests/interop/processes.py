"""Programs that a test starts: each is a session of its own, which ends with it, or with us."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

WITH_US = ("setpriv", "--pdeathsig", "TERM")  # even where this process is killed


def begin(
    argv: list[str],
    screen: Path,
    *,
    is_told: bool = False,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program; what it says is added to a file. `is_told`: by its standard input."""
    with screen.open("ab") as out:
        return subprocess.Popen(
            [*WITH_US, *argv],
            stdin=subprocess.PIPE if is_told else subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that begin() started, and whatever it has started."""
    with suppress(ProcessLookupError):  # all of its group are gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
