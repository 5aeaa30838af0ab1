"""What `make test` and `make long` run: all tests, and before that the Debian packages they need.

Exits with pytest's status; with 1 where tests had to be left out, which it names.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.packages import Package, missing

TESTS = Path(__file__).parent
WORKERS = 2
LEFT_OUT = FAILED = 1
LIMIT_S = 20 * 60  # of `make test`; a test that hangs beyond its own time limit must not hang all
GRACE_S = 60


def main() -> int:
    """Install, run, tell. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="the sizes that the issues name")
    parser.add_argument("--install", action="store_true", help="nothing but the packages")
    asked = parser.parse_args()
    is_long = asked.long
    install(missing())
    if asked.install:
        return 0
    left_out = [TESTS / name for package in missing() for name in package.tests]
    status = run_tests(is_long, left_out)
    return tell(left_out, is_long, status)


def install(packages: list[Package]) -> None:
    """Install packages as root, or by sudo where that asks nothing. Says what it cannot do."""
    if not packages:
        return
    names = [package.name for package in packages]
    root = as_root()
    if root is None:
        say(f"no apt-get, or neither root nor sudo without a password: {', '.join(names)} missing")
        return
    say(f"installing {', '.join(names)}")
    get = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    install_them = [*get, "install", "--no-install-recommends", *names]
    if run(install_them) == 0:
        return
    say("not found as things stand: asking for newer lists")
    if run([*get, "update"]) != 0 or run(install_them) != 0:
        say("apt-get failed")


def as_root() -> list[str] | None:
    """Return what makes a command run as root: nothing, sudo; None where neither is to be had."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"], is_quiet=True) == 0:
        return ["sudo", "-n"]
    return None


def run_tests(is_long: bool, left_out: list[Path]) -> int:
    """Run pytest, two workers; tests/conftest.py says what runs in a row. Returns its status."""
    argv = [
        *pytest(),
        *("-n", str(WORKERS), "--dist", "loadscope", "--durations", "10"),
        *chosen(is_long),
        *(f"--ignore={path}" for path in left_out),
    ]
    running = subprocess.Popen(argv, cwd=TESTS.parent)
    try:
        return running.wait(None if is_long else LIMIT_S)
    except subprocess.TimeoutExpired:
        say(f"not done after {LIMIT_S} s: stopping")
    running.send_signal(signal.SIGINT)  # it still says what has failed
    try:
        running.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
    return FAILED


def tell(left_out: list[Path], is_long: bool, status: int) -> int:
    """Name the tests that were left out. Returns the status of it all."""
    if not left_out:
        return status
    paths = [str(path) for path in left_out]
    listing = [*pytest(), "-q", "--collect-only", *chosen(is_long), *paths]
    listed = subprocess.run(listing, capture_output=True, text=True, cwd=TESTS.parent, check=False)
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    packages = ", ".join(package.name for package in missing())
    say(f"{len(names)} tests left out, for want of {packages}:")
    for name in names:
        say(f"  {name}")
    return status or LEFT_OUT


def chosen(is_long: bool) -> list[str]:
    return [] if is_long else ["-m", "not long"]


def pytest() -> list[str]:
    return [sys.executable, "-m", "pytest"]


def run(argv: list[str], is_quiet: bool = False) -> int:
    """Run a command at the root of the project; return its status."""
    out = subprocess.DEVNULL if is_quiet else None
    return subprocess.run(argv, cwd=TESTS.parent, stdout=out, stderr=out, check=False).returncode


def say(words: str) -> None:
    print(f"tests: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
