"""A network of its own (unshare) with nftables in it: what of a flood comes through a Wall.

Run as a program inside it, which says one line of JSON: source, and how many of its datagrams came.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sipcore.transport.bans import Ban
from sipcore.transport.nft import Firewall, Wall
from tests.packages import require

PORT, OTHER_PORT = 25060, 25061
FLOOD = 3000
WALL = Wall(frozenset((PORT,)), frozenset((PORT,)), 100, 300)
PEER, BUSY, STRANGER, BANNED = "127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.13"
PEER6, BUSY6, STRANGER6, NEIGHBOUR6 = "fd00:1::1", "fd00:2::1", "fd00:3::1", "fd00:3::2"
BANNED6, BANNED_HOST6 = "fd00:4::1", "fd00:4::2"
ADDRESSES6 = (PEER6, BUSY6, STRANGER6, NEIGHBOUR6, BANNED6, BANNED_HOST6)


def in_a_network_of_its_own() -> dict[str, int]:
    """Return how many datagrams came, by source, and by what is left of the table at the end."""
    command = [require("unshare"), "--net", "--map-root-user", sys.executable, "-m", __name__]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def main() -> dict[str, int]:
    """Flood from each source, behind a wall that spares one of each family, and bans some."""
    _run("ip", "link", "set", "lo", "up")
    for address in ADDRESSES6:
        _run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    firewall = Firewall(WALL, require("nft"))
    assert await firewall.start()
    firewall.spare(["127.0.0.10", "127.0.0.10/31", f"{PEER6}/128"])
    firewall.spare([PEER, PEER6])
    firewall.busy(BUSY)
    firewall.busy(BUSY)
    firewall.busy("fd00:2::/64")
    firewall.busy(BUSY6)
    for source in (BANNED, "fd00:4::/64", BANNED_HOST6):
        firewall.ban(Ban(source, "flood", 0.0, 60.0, 1))
    await firewall.idle()
    assert firewall.is_on
    came = _flood("127.0.0.1", [PEER, BUSY, STRANGER, BANNED])
    came |= _flood("::1", [*ADDRESSES6[:4], BANNED6, BANNED_HOST6])
    came["other port"] = _flood("127.0.0.1", [STRANGER], OTHER_PORT)[STRANGER]
    await firewall.close()
    return came | {"tables": len(_run("nft", "list", "tables").split())}


def _flood(to: str, sources: list[str], port: int = PORT) -> dict[str, int]:
    """Send FLOOD datagrams from each; each is read at once, so that no buffer overflows."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    came: Counter[str] = Counter(dict.fromkeys(sources, 0))
    with socket.socket(family, socket.SOCK_DGRAM) as taker:
        taker.bind((to, port))
        taker.setblocking(False)
        for source in sources:
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                for _ in range(FLOOD):
                    sender.sendto(b"x", (to, port))
                    came[source] += _read(taker)
    return dict(came)


def _read(taker: socket.socket) -> int:
    try:
        taker.recv(16)
    except BlockingIOError:
        return 0
    return 1


def _run(program: str, *arguments: str) -> str:
    command = [require(program), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
