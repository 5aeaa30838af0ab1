"""A node of real processes in a network of its own, with `guard.nft = "auto"`.

Run as a program inside it, with a folder; it says what nftables knew while the node ran, and after.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.packages import require
from tests.serving import Node, until

ROOT = Path(__file__).parent.parent
PEERS = ("127.0.0.10/31", "127.0.0.2")  # of deploy/demo.toml


class Seen(NamedTuple):
    """The ruleset of nftables while a node ran, after it, and the node's log."""

    ruleset: str
    afterwards: str
    log: str


def run_node(folder: Path) -> Seen:
    """Return what nftables knew of a node with the demonstration's customers and carriers."""
    command = [require("unshare"), "--net", "--map-root-user", sys.executable, "-m", __name__]
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return Seen(*json.loads(done.stdout))


def _main(folder: Path) -> Seen:
    _run("ip", "link", "set", "lo", "up")
    node = Node(folder)
    with node.config.open("a") as file:
        file.write('[guard]\nnft = "auto"\nnft_messages_per_s = 900\n')
    more = ("--config", str(node.config))
    _run(sys.executable, "-m", "sipcore.cli", "import", *more, str(ROOT / "deploy/demo.toml"))
    process = node.start()
    try:
        until(node.is_ready)
        until(lambda: all(peer in _ruleset() for peer in PEERS))
        ruleset = _ruleset()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    finally:
        process.kill()
    return Seen(ruleset, _ruleset(), log)


def _ruleset() -> str:
    return _run(require("nft"), "list", "ruleset")


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]))))
