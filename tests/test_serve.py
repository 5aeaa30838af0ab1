"""`sipcore serve` as an operator meets it: a whole node of real processes on loopback."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import Node, until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    for process in node.started:
        process.kill()
        process.communicate()
    until(lambda: not node.pids(), 3)


def test_a_node_becomes_ready_and_ends_on_sigterm(node: Node) -> None:
    process = node.start()
    until(node.is_ready)
    assert sorted(node.pids()) == ["media-0", "serve", "signalling", "web"]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert not (node.data / "control.sock").exists()


def test_a_node_is_ready_before_it_reads_recordings_that_were_left(node: Node) -> None:
    left = node.data / "recordings" / "open" / "2026-01-02-0123.wav.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"\1\2" * 1_000_000)
    process = node.start()
    until((node.data / "recordings" / "2026" / "01" / "02" / "0123.wav").exists)
    until(node.is_ready)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    assert 0 < log.index(" ready node=") < log.index("0123.wav was left behind")


def test_each_process_is_started_again_and_the_node_is_ready_again(node: Node) -> None:
    node.start()
    until(node.is_ready)
    for role in ("web", "media-0", "signalling"):
        node.kill(role)
        until(node.is_ready)
    page = httpx.get(f"http://127.0.0.1:{node.web}/metrics").text
    for role in ("web", "media-0", "signalling"):
        assert f'sipcore_restarts_total{{process="{role}"}} 1.0' in page


def test_after_the_supervisor_is_killed_a_new_one_takes_over(node: Node) -> None:
    process = node.start()
    until(node.is_ready)
    children = set(node.pids().values()) - {process.pid}
    process.kill()
    again = node.start()
    until(lambda: not children & set(node.pids().values()), 1)
    until(node.is_ready)
    assert again.poll() is None


def test_a_second_node_on_the_port_is_one_clear_line(node: Node, tmp_path: Path) -> None:
    node.start()
    until(node.is_ready)
    other = node.start("--data", str(tmp_path / "other"))
    _, errors = other.communicate(timeout=15)
    assert other.returncode == 2
    port = node.sip
    assert errors == (
        f"sipcore: cannot listen on udp 127.0.0.1 port {port}: another program has that port\n"
    )


def test_a_second_node_on_the_folder_is_one_clear_line(node: Node) -> None:
    first = node.start()
    until(node.is_ready)
    second = node.start()
    _, errors = second.communicate(timeout=15)
    assert second.returncode == 2
    assert errors == f"sipcore: another node (pid {first.pid}) runs on {node.data}\n"


def test_the_demonstration_says_what_to_try_and_then_ready_twice_in_a_row(node: Node) -> None:
    demo = Path(__file__).parent.parent / "deploy" / "demo.py"
    argv = [sys.executable, str(demo), "--config", str(node.config), "--data", str(node.data)]
    for imported in ("12 added, 0 changed, 0 unchanged", "0 added, 0 changed, 12 unchanged"):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        node.started.append(process)
        assert process.stdout is not None
        said = []
        while (line := process.stdout.readline()) not in ("ready\n", ""):
            said.append(line)
        assert line == "ready\n"
        assert imported in said[0]
        text = "".join(said)
        for part in ("front-desk-8001", f"udp 127.0.0.1:{node.sip}", f"{node.web}/metrics", "120"):
            assert part in text
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=15)
        assert process.returncode == 0, log
