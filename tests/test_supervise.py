"""The supervisor with real children: small scripts that do as they are told."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from sipcore.errors import CannotStart
from sipcore.serve import listen, take_lock

CHILD = """
import os, signal, sys, select
name, kind, folder = sys.argv[1:]
if kind == "cannot":
    sys.exit(2)
if kind == "mortal":
    sys.exit(7)
line = sys.stdin.buffer.raw.readline()
def note(what):
    with open(f"{folder}/log", "a") as out:
        out.write(f"{name} {what}\\n")
def stop(*_):
    note("TERM")
    stop.times = getattr(stop, "times", 0) + 1
    if kind == "quick" or (kind == "slow" and stop.times == 2):
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with open(f"{folder}/{name}.tmp", "w") as out:
    out.write(f"{os.getpid()} {line.decode().strip()}")
os.replace(f"{folder}/{name}.tmp", f"{folder}/{name}.pid")
poll = select.poll()
poll.register(0, 0)
poll.poll()
note("lifeline")
"""

PARENT = """
import json, sys
from sipcore import log
from sipcore.supervise import ChildSpec, Supervisor
folder, drain_s, *kinds = sys.argv[1:]
log.start()
specs = []
for kind in kinds:
    name, _, kind = kind.partition("=")
    argv = (sys.executable, f"{folder}/child.py", name, kind, folder)
    specs.append(ChildSpec(name, argv, b"settings of " + name.encode(), (), name == "signalling"))
def restarted(counts):
    with open(f"{folder}/restarts", "w") as out:
        json.dump(counts, out)
sys.exit(Supervisor(specs, float(drain_s), restarted).run())
"""

Started = subprocess.Popen[bytes]
Start = Callable[..., "subprocess.Popen[str]"]


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for the world outside. The one place here that sleeps."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text("ascii")
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "child.py").write_text(textwrap.dedent(CHILD), "utf-8")
    (tmp_path / "parent.py").write_text(textwrap.dedent(PARENT), "utf-8")
    started: list[subprocess.Popen[str]] = []

    def begin(*kinds: str, drain_s: float = 5) -> "subprocess.Popen[str]":
        argv = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path), str(drain_s), *kinds]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def pid_of(folder: Path, name: str) -> int:
    file = folder / f"{name}.pid"
    until(file.exists)
    return int(file.read_text().split()[0])


def notes(folder: Path) -> list[str]:
    file = folder / "log"
    return file.read_text().splitlines() if file.exists() else []


def test_children_get_their_settings_and_end_in_order_on_sigterm(
    tmp_path: Path, start: Start
) -> None:
    node = start("media-0=quick", "signalling=quick", "web=quick")
    pids = [pid_of(tmp_path, name) for name in ("media-0", "signalling", "web")]
    assert (tmp_path / "web.pid").read_text().endswith(" settings of web")
    node.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0
    assert notes(tmp_path)[0] == "signalling TERM"
    assert sorted(notes(tmp_path)[1:]) == ["media-0 TERM", "web TERM"]
    assert not any(map(is_alive, pids))


def test_a_child_that_died_is_started_again_and_counted(tmp_path: Path, start: Start) -> None:
    node = start("media-0=quick", "signalling=quick")
    first = pid_of(tmp_path, "media-0")
    pid_of(tmp_path, "signalling")
    os.kill(first, signal.SIGKILL)
    until(lambda: pid_of(tmp_path, "media-0") != first)
    counts = msgspec.json.decode((tmp_path / "restarts").read_bytes())
    assert counts == {"media-0": 1, "signalling": 0}
    node.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0


def test_a_child_that_will_not_live_ends_the_node_with_a_clear_line(start: Start) -> None:
    node = start("media-0=mortal", "signalling=quick")
    _, errors = node.communicate(timeout=20)
    assert node.returncode == 1
    assert "media-0 died 5 times within 10 s, giving up (status 7)" in errors


def test_a_child_that_cannot_start_ends_the_node_with_2(start: Start) -> None:
    node = start("media-0=cannot", "signalling=quick")
    node.communicate(timeout=20)
    assert node.returncode == 2


def test_a_second_sigterm_ends_at_once(tmp_path: Path, start: Start) -> None:
    node = start("signalling=slow", "web=quick", drain_s=60)
    pid_of(tmp_path, "signalling")
    pid_of(tmp_path, "web")
    node.send_signal(signal.SIGTERM)
    until(lambda: "signalling TERM" in notes(tmp_path))
    node.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0
    assert notes(tmp_path).count("signalling TERM") == 2


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path, start: Start) -> None:
    node = start("signalling=deaf", drain_s=60)
    deaf = pid_of(tmp_path, "signalling")
    node.send_signal(signal.SIGINT)
    until(lambda: notes(tmp_path))
    node.send_signal(signal.SIGINT)
    assert node.wait(10) == 0
    assert not is_alive(deaf)


def test_children_of_a_killed_supervisor_hear_of_it(tmp_path: Path, start: Start) -> None:
    node = start("media-0=quick", "signalling=quick", "web=quick")
    pids = [pid_of(tmp_path, name) for name in ("media-0", "signalling", "web")]
    node.kill()
    until(lambda: not any(map(is_alive, pids)), within_s=1)
    assert sorted(notes(tmp_path)) == ["media-0 lifeline", "signalling lifeline", "web lifeline"]


def test_a_second_node_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    fd = take_lock(tmp_path, 0)
    with pytest.raises(CannotStart, match=rf"another node \(pid {os.getpid()}\) runs on"):
        take_lock(tmp_path, 0)
    os.close(fd)
    os.close(take_lock(tmp_path, 0))


def test_a_lock_is_held_as_long_as_a_child_has_it(tmp_path: Path) -> None:
    fd = take_lock(tmp_path, 0)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(fd,)
    )
    os.close(fd)
    with pytest.raises(CannotStart):
        take_lock(tmp_path, 0)
    child.communicate(b"\n")
    os.close(take_lock(tmp_path, 0))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_port_that_is_taken_is_named(transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        if transport == "tcp":
            other.listen()
        with pytest.raises(CannotStart, match=f"{transport} 127.0.0.1 port {port}: another"):
            listen(transport, "127.0.0.1", port)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(CannotStart, match="no such address"):
        listen("udp", "192.0.2.1", 5060)


def child(role: str, settings: dict[str, object], fds: tuple[int, ...]) -> Started:
    """Start a real role the way the supervisor does."""
    argv = [sys.executable, "-m", "sipcore.serve", role]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=fds, bufsize=0)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(settings) + b"\n")
    return process


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Started, str]]:
    with listen("tcp", "127.0.0.1", 0) as listener:
        settings = {"data": str(tmp_path), "fd": listener.fileno(), "lifeline_fd": 0}
        process = child("web", settings, (listener.fileno(),))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    until(lambda: answer(address))
    yield process, address
    process.kill()
    process.communicate()


def answer(address: str) -> int:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code
    except httpx.TransportError:
        return 0


def test_the_web_process_answers_without_signalling_and_ends_on_sigterm(
    web: tuple[Started, str],
) -> None:
    process, address = web
    assert answer(address) == 503
    process.send_signal(signal.SIGINT)
    assert answer(address) == 503
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_the_web_process_ends_with_its_supervisor(web: tuple[Started, str]) -> None:
    process, _ = web
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(1) is not None


def test_a_role_nobody_knows_cannot_start() -> None:
    process = child("cook", {}, ())
    assert process.wait(10) == 2
    process.communicate()
