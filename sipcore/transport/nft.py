"""What nftables drops for us: banned sources, and what a source sends over UDP beyond a rate.

A table of our own, `inet sipcore`; nothing else is touched, and the kernel itself forgets bans and
counts. The rate needs no proof of an address: it bounds one source, and bans nobody. Where nft is
missing or not allowed, that is said once, and all is done in process alone.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from msgspec import Struct

from sipcore.log import logger
from sipcore.transport.bans import Ban

PATIENCE_S = 10.0
MOST_WAITING = 20_000
BURST_S = 5  # how much of a second's rate may come at once
BUSY_S = 1800  # a busy source has its generous rate for so long
_WITHIN_64 = "ip6 saddr & ffff:ffff:ffff:ffff::"
_SETS = """add table inet sipcore
delete table inet sipcore
table inet sipcore {{
  set ban4 {{ type ipv4_addr; flags timeout; size 65536; }}
  set ban6 {{ type ipv6_addr; flags timeout; size 65536; }}
  set ban64 {{ type ipv6_addr; flags timeout; size 65536; }}
  set peer4 {{ type ipv4_addr; flags interval; }}
  set peer6 {{ type ipv6_addr; flags interval; }}
  set busy4 {{ type ipv4_addr; flags timeout; size 65536; }}
  set busy64 {{ type ipv6_addr; flags timeout; size 65536; }}
  set meter4 {{ type ipv4_addr; flags dynamic, timeout; size 65536; timeout 10s; }}
  set meter64 {{ type ipv6_addr; flags dynamic, timeout; size 65536; timeout 10s; }}
  set busymeter4 {{ type ipv4_addr; flags dynamic, timeout; size 65536; timeout 10s; }}
  set busymeter64 {{ type ipv6_addr; flags dynamic, timeout; size 65536; timeout 10s; }}
  chain input {{
    type filter hook input priority -10; policy accept;
    {rules}
  }}
}}
"""

_log = logger(__name__)


class Wall(Struct, frozen=True):
    """What is guarded: all SIP ports, those of UDP, and the most that one source may send to these.

    `messages_per_s` 0: nothing is metered. `busy_per_s` is for sources that are known to be busy.
    """

    ports: frozenset[int]
    udp_ports: frozenset[int] = frozenset()
    messages_per_s: int = 0
    busy_per_s: int = 0


class Firewall:
    """One per node. What it is told it only notes; one nft runs at a time."""

    def __init__(self, wall: Wall, command: str = "nft") -> None:
        self._wall = wall
        self._command = command
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self.is_on = False

    async def start(self) -> bool:
        """Make the table anew; False where that is not possible."""
        rules = "\n    ".join(_rules(self._wall))
        self.is_on = await self._run(_SETS.format(rules=rules))
        return self.is_on

    def ban(self, ban: Ban) -> None:
        """Have a source dropped for as long as its ban lasts."""
        self._hold("ban", ban.source, math.ceil(ban.length_s))

    def lift(self, ban: Ban) -> None:
        """Have a source let in again. It is banned first, so that there is one to be deleted."""
        place = _place("ban", ban.source)
        self._say(f"add element {place} timeout 1s }}")
        self._say(f"delete element {place} }}")

    def busy(self, source: str) -> None:
        """Meter a source by the generous rate for BUSY_S from now: an address or a /64."""
        self._hold("busy", source if ":" not in source else _net_of(source), BUSY_S)

    def spare(self, networks: Iterable[str]) -> None:
        """Meter nobody in these networks (ADDRESS or ADDRESS/BITS), and everybody else."""
        read = [ip_network(one.partition("%")[0], strict=False) for one in networks]
        four = collapse_addresses(one for one in read if isinstance(one, IPv4Network))
        six = collapse_addresses(one for one in read if isinstance(one, IPv6Network))
        for name, mine in (("peer4", [*four]), ("peer6", [*six])):
            self._say(f"flush set inet sipcore {name}")
            if mine:
                self._say(f"add element inet sipcore {name} {{ {', '.join(map(str, mine))} }}")

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

    def _hold(self, kind: str, source: str, seconds: int) -> None:
        """Put a source into a set, for so long from now if it is there already."""
        place = _place(kind, source)
        self._say(f"add element {place} timeout 1s }}")
        self._say(f"delete element {place} }}")
        self._say(f"add element {place} timeout {seconds}s }}")

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


def _place(kind: str, source: str) -> str:
    """Return the beginning of an element: an IPv4 address, an IPv6 one, or a /64's first."""
    address, _, bits = source.partition("/")
    width = "4" if ":" not in address else bits or "6"
    return f"inet sipcore {kind}{width} {{ {address}"


def _net_of(source: str) -> str:
    """Return the /64 of an IPv6 address or of itself."""
    return str(ip_network(f"{source.removesuffix('/64')}/64", strict=False))


def _rules(wall: Wall) -> list[str]:
    sip = f"meta l4proto {{ tcp, udp }} th dport {{ {_list(wall.ports)} }}"
    rules = [
        f"{sip} ip saddr @ban4 counter drop",
        f"{sip} ip6 saddr @ban6 counter drop",
        f"{sip} {_WITHIN_64} @ban64 counter drop",
    ]
    if not wall.messages_per_s or not wall.udp_ports:
        return rules
    udp = f"udp dport {{ {_list(wall.udp_ports)} }}"
    rules += [f"{udp} ip saddr @peer4 accept", f"{udp} ip6 saddr @peer6 accept"]
    for key, width in (("ip saddr", "4"), (_WITHIN_64, "64")):
        for who, meter, rate in (
            (f"{key} @busy{width}", "busymeter", wall.busy_per_s),
            (f"{key} != @busy{width}", "meter", wall.messages_per_s),
        ):
            limit = f"limit rate over {rate}/second burst {rate * BURST_S} packets"
            rules.append(f"{udp} {who} update @{meter}{width} {{ {key} {limit} }} counter drop")
    return rules


def _list(ports: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ports)))
