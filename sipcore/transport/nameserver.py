"""Questions to the machine's name servers, in asyncio (dnspython). /etc/hosts goes before them.

resolv.conf and hosts are looked at again when somebody asks, every few seconds at most.
"""

import asyncio
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.message
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from sipcore.log import logger
from sipcore.transport.names import Answer, Unanswered
from sipcore.transport.order import Naptr, Question, Srv

HOSTS_TTL_S = 5.0
NEGATIVE_TTL_S = 60.0  # without a SOA record to say it (RFC 2308 5)

_log = logger(__name__)


class Patience(NamedTuple):
    """How long a question may take, in seconds, and for how long the files are not looked at."""

    try_s: float = 1.0  # then the next server, or the same one again
    lookup_s: float = 2.5
    look_s: float = 5.0


USUAL = Patience()


class NameServers:
    """A LookUp. `changed` is called when there are other servers than before."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        hosts: Path = Path("/etc/hosts"),
        port: int = 53,
        patience: Patience = USUAL,
    ) -> None:
        self._loop = loop
        self._files = (resolv_conf, hosts)
        self._port = port
        self._patience = patience
        self._looked_at = float("-inf")
        self._stamps: tuple[object, ...] = ()
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._hosts: dict[Question, tuple[str, ...]] = {}
        self.changed: Callable[[], None] = lambda: None

    async def __call__(self, question: Question) -> Answer:
        """Ask. Raises Unanswered."""
        self._look()
        if (addresses := self._hosts.get(question)) is not None:
            return Answer(addresses, HOSTS_TTL_S)
        resolver = self._resolver
        if not resolver.nameservers:
            raise Unanswered("no name server is configured")
        try:
            found = await resolver.resolve(
                question.name,
                question.kind,
                raise_on_no_answer=False,
                search="." not in question.name,
            )
        except dns.resolver.NXDOMAIN as fault:
            responses = fault.kwargs["responses"].values()
            return Answer((), min(map(_negative_ttl_s, responses), default=NEGATIVE_TTL_S))
        except (dns.exception.DNSException, OSError, UnicodeError) as fault:
            raise Unanswered(str(fault)) from None
        self._prefer(resolver, found.nameserver)
        if not found.rrset:
            return Answer((), _negative_ttl_s(found.response))
        return Answer(tuple(map(_record, found.rrset)), float(found.chaining_result.minimum_ttl))

    def _look(self) -> None:
        """Read the files again where they have changed: tiny ones, on the machine's own disk."""
        now = self._loop.time()
        if now < self._looked_at + self._patience.look_s:
            return
        self._looked_at = now
        stamps = tuple(map(_stamp, self._files))
        if stamps == self._stamps:
            return
        is_first, self._stamps = not self._stamps, stamps
        self._hosts = read_hosts(_text_of(self._files[1]))
        self._resolver = self._made(_text_of(self._files[0]))
        if not is_first:
            _log.info("name servers are now %s", self._resolver.nameservers)
            self.changed()

    def _made(self, resolv_conf: str) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        try:
            resolver.read_resolv_conf(StringIO(resolv_conf))
        except (dns.exception.DNSException, ValueError) as fault:
            _log.warning("resolv.conf is not understood: %s", fault)
        resolver.port = self._port
        resolver.timeout = self._patience.try_s
        resolver.lifetime = self._patience.lookup_s
        resolver.retry_servfail = False
        return resolver

    @staticmethod
    def _prefer(resolver: dns.asyncresolver.Resolver, answered: str | None) -> None:
        """Ask first who answered last: a dead server costs its second once."""
        servers = list(resolver.nameservers)
        if answered in servers and servers[0] != answered:
            resolver.nameservers = [answered, *(one for one in servers if one != answered)]


def read_hosts(text: str) -> dict[Question, tuple[str, ...]]:
    """Read a hosts file (hosts(5)): the addresses of each name, by family."""
    found: dict[Question, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            mine = Question("AAAA" if ":" in address else "A", name.lower())
            other = Question("A" if ":" in address else "AAAA", name.lower())
            found[mine] = (*found.get(mine, ()), address)
            found.setdefault(other, ())
    return found


def _record(data: dns.rdata.Rdata) -> str | Srv | Naptr:
    match data:
        case A() | AAAA():
            return str(data.address)
        case SRV():
            target = data.target.to_text(omit_final_dot=True).lower()
            return Srv(data.priority, data.weight, data.port, "" if target == "." else target)
        case NAPTR():
            name = data.replacement.to_text(omit_final_dot=True).lower()
            return Naptr(data.order, data.preference, _text(data.flags), _text(data.service), name)
    raise Unanswered(f"a record of another kind: {data.rdtype}")


def _text(octets: bytes) -> str:
    return octets.decode("ascii", "replace")


def _negative_ttl_s(response: dns.message.Message) -> float:
    """Return how long a lack may be remembered: the SOA record says it (RFC 2308 5)."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return float(min(rrset.ttl, rrset[0].minimum))
    return NEGATIVE_TTL_S


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as fault:
        _log.warning("%s cannot be read: %s", path, fault)
        return ""


def _stamp(path: Path) -> object:
    try:
        is_now = os.stat(path)
    except OSError:
        return None
    return (is_now.st_ino, is_now.st_mtime_ns, is_now.st_size)
