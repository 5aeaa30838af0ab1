"""Bans as elements of two sets of nftables, which forget them by themselves: then the kernel drops
what a banned source sends to the SIP ports. A table of our own, `inet sipcore`; nothing else is
touched. Where nft is missing or not allowed, that is said once, and bans are kept in process alone.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterable

from sipcore.log import logger
from sipcore.transport.bans import Ban

PATIENCE_S = 10.0
MOST_WAITING = 20_000
_TABLE = """add table inet sipcore
delete table inet sipcore
table inet sipcore {{
  set ban4 {{ type ipv4_addr; flags timeout; size 65536; }}
  set ban6 {{ type ipv6_addr; flags interval, timeout; size 65536; }}
  chain input {{
    type filter hook input priority -10; policy accept;
    meta l4proto {{ tcp, udp }} th dport {{ {ports} }} ip saddr @ban4 counter drop
    meta l4proto {{ tcp, udp }} th dport {{ {ports} }} ip6 saddr @ban6 counter drop
  }}
}}
"""

_log = logger(__name__)


class Firewall:
    """One per node. `ban` and `lift` only note what is to be done; one nft runs at a time."""

    def __init__(self, ports: Iterable[int], command: str = "nft") -> None:
        self._ports = sorted(set(ports))
        self._command = command
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self.is_on = False

    async def start(self) -> bool:
        """Make the table anew; False where that is not possible."""
        self.is_on = await self._run(_TABLE.format(ports=", ".join(map(str, self._ports))))
        return self.is_on

    def ban(self, ban: Ban) -> None:
        """Have a source dropped for as long as its ban lasts."""
        seconds = math.ceil(ban.length_s)
        self._say(f"add element inet sipcore {_place(ban)} timeout {seconds}s }}")

    def lift(self, ban: Ban) -> None:
        """Have a source let in again. It is banned first, so that there is one to be deleted."""
        self._say(f"add element inet sipcore {_place(ban)} timeout 1s }}")
        self._say(f"delete element inet sipcore {_place(ban)} }}")

    async def idle(self) -> None:
        """Wait until all that was said is done."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Take the table away: what is not running must not drop anything."""
        await self.idle()
        if self.is_on:
            self.is_on = False
            await self._run("delete table inet sipcore\n")

    def _say(self, line: str) -> None:
        if not self.is_on or len(self._waiting) >= MOST_WAITING:
            return
        self._waiting.append(line)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._waiting and self.is_on:
            lines, self._waiting = self._waiting, []
            self.is_on = await self._run("\n".join([*lines, ""]))
            if not self.is_on:  # nobody could lift what the kernel still drops
                await self._run("delete table inet sipcore\n")
        self._waiting.clear()

    async def _run(self, script: str) -> bool:
        """Run nft; what it says when it fails is logged, and it is not run again."""
        try:
            process = await asyncio.create_subprocess_exec(
                self._command, "-f", "-",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as fault:
            _log.warning("nft cannot be run, bans are kept in process: %s", fault)
            return False
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, said = await process.communicate(script.encode())
        except TimeoutError:
            said = b"no answer"
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode == 0:
            return True
        first = said.decode("utf-8", "replace").strip().partition("\n")[0]
        _log.warning("nft refuses, bans are kept in process: %s", first)
        return False


def _place(ban: Ban) -> str:
    return f"{'ban6' if ':' in ban.source else 'ban4'} {{ {ban.source}"
