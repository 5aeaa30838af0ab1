"""Questions to a name server on loopback: what answers mean, and what a dead one costs."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sipcore.message.uri import Uri
from sipcore.transport.names import Answer, Unanswered
from sipcore.transport.nameserver import (
    NEGATIVE_TTL_S,
    USUAL,
    NameServers,
    Patience,
    read_hosts,
)
from sipcore.transport.order import Naptr, Question, Srv
from sipcore.transport.resolve import Resolver
from tests.transport.conftest import Run

SOA = "ns.example. root.example. 1 2 3 4 30"
ZONE = """
alias.example. 20 IN CNAME a.example.
a.example. 60 IN A 192.0.2.1
a.example. 60 IN A 192.0.2.2
a.example. 60 IN AAAA 2001:db8::1
host.office.example. 60 IN A 192.0.2.7
_sip._udp.example. 90 IN SRV 10 60 5070 A.example.
_sip._udp.example. 90 IN SRV 20 0 0 .
example. 90 IN NAPTR 50 10 "s" "SIP+D2U" "" _sip._udp.example.
"""


class FakeServer:
    """A name server for ZONE at 127.0.0.1; `rcode` refuses everything."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.asked: list[str] = []
        self.rcode = dns.rcode.NOERROR
        asyncio.get_running_loop().add_reader(self._socket, self._answer)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        data, source = self._socket.recvfrom(4096)
        query = dns.message.from_wire(data)
        (question,) = query.question
        self.asked.append(question.name.to_text())
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        reply.set_rcode(self.rcode)
        if self.rcode == dns.rcode.NOERROR:
            self._fill(reply, question)
        self._socket.sendto(reply.to_wire(), source)

    def _fill(self, reply: dns.message.Message, question: dns.rrset.RRset) -> None:
        wanted, kinds = question.name.to_text().lower(), {"CNAME", question.to_text().split()[-1]}
        rows = [line.split(None, 4) for line in ZONE.strip().splitlines()]
        if all(row[0] != wanted for row in rows):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        for row in rows:
            if row[0] == wanted and row[3] in kinds:
                reply.answer.append(dns.rrset.from_text(row[0], int(row[1]), *row[2:]))
                wanted = row[4] if row[3] == "CNAME" else wanted
        if not reply.answer and wanted != "bare.example.":
            reply.authority.append(dns.rrset.from_text("example.", 300, "IN", "SOA", SOA))


@contextmanager
def _servers(
    folder: Path,
    resolv_conf: str = "nameserver 127.0.0.1\n",
    patience: Patience = USUAL,
) -> Iterator[tuple[FakeServer, NameServers]]:
    server = FakeServer()
    (folder / "resolv.conf").write_text(resolv_conf)
    (folder / "hosts").write_text("127.0.0.9 Gate gate.example # ours\n::9 gate\n")
    loop = asyncio.get_running_loop()
    asked = NameServers(loop, folder / "resolv.conf", folder / "hosts", server.port, patience)
    try:
        yield server, asked
    finally:
        server.close()


def test_records_are_read_with_the_time_they_hold(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with _servers(tmp_path) as (_, ask):
            assert await ask(Question("A", "a.example")) == Answer(("192.0.2.1", "192.0.2.2"), 60)
            assert await ask(Question("AAAA", "a.example")) == Answer(("2001:db8::1",), 60)
            assert (await ask(Question("A", "alias.example"))).ttl_s == 20
            assert await ask(Question("SRV", "_sip._udp.example")) == Answer(
                (Srv(10, 60, 5070, "a.example"), Srv(20, 0, 0, "")), 90
            )
            assert await ask(Question("NAPTR", "example")) == Answer(
                (Naptr(50, 10, "s", "SIP+D2U", "_sip._udp.example"),), 90
            )

    run(main())


def test_that_there_is_nothing_holds_as_long_as_the_soa_record_says(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        with _servers(tmp_path) as (_, ask):
            assert await ask(Question("A", "nobody.example")) == Answer((), 30)
            assert await ask(Question("SRV", "a.example")) == Answer((), 30)
            assert await ask(Question("A", "bare.example")) == Answer((), NEGATIVE_TTL_S)

    run(main())


def test_a_name_without_a_dot_is_looked_for_in_the_search_list_and_in_hosts(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        conf = "search office.example\nnameserver 127.0.0.1\n"
        with _servers(tmp_path, conf) as (server, ask):
            assert (await ask(Question("A", "host"))).records == ("192.0.2.7",)
            server.asked.clear()
            assert (await ask(Question("A", "gate"))).records == ("127.0.0.9",)
            assert (await ask(Question("AAAA", "gate"))).records == ("::9",)
            assert (await ask(Question("AAAA", "gate.example"))).records == ()
            assert server.asked == []

    run(main())


def test_a_server_that_fails_has_given_no_answer(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with _servers(tmp_path) as (server, ask):
            server.rcode = dns.rcode.SERVFAIL
            for name in ("a.example", "." * 3, "x" * 64 + ".example"):
                with pytest.raises(Unanswered):
                    await ask(Question("A", name))

    run(main())


def test_a_dead_server_is_passed_over_and_asked_last_from_then_on(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        conf = "nameserver 127.0.0.2\nnameserver 127.0.0.1\n"
        dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with dead, _servers(tmp_path, conf, Patience(try_s=0.5)) as (server, ask):
            dead.bind(("127.0.0.2", server.port))
            dead.setblocking(False)
            assert (await ask(Question("A", "a.example"))).records
            assert dead.recv(512)
            assert (await ask(Question("AAAA", "a.example"))).records
            with pytest.raises(BlockingIOError):
                dead.recv(512)

    run(main())


def test_other_name_servers_in_resolv_conf_are_noticed(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with _servers(tmp_path, "options ndots:2\n", Patience(look_s=0)) as (_, ask):
            changes: list[int] = []
            ask.changed = lambda: changes.append(1)
            with pytest.raises(Unanswered, match="no name server"):
                await ask(Question("A", "a.example"))
            (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
            os.utime(tmp_path / "resolv.conf", ns=(1, 1))
            assert (await ask(Question("A", "a.example"))).records
            (tmp_path / "hosts").unlink()
            (tmp_path / "resolv.conf").unlink()
            with pytest.raises(Unanswered):
                await ask(Question("A", "a.example"))
            assert changes == [1, 1]

    run(main())


def test_a_uri_is_followed_through_naptr_srv_and_addresses(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with _servers(tmp_path) as (server, ask):
            resolver = Resolver(asyncio.get_running_loop(), ask)
            resolver.listens("udp", "10.0.0.1")
            for _ in range(2):
                found = await resolver.places(Uri.parse("sip:example"))
                assert [(one.address, one.port) for one in found] == [
                    ("192.0.2.1", 5070),
                    ("192.0.2.2", 5070),
                ]
            assert server.asked == ["example.", "_sip._udp.example.", "a.example."]

    run(main())


def test_a_hosts_file_is_read_as_it_is_written() -> None:
    found = read_hosts("# nothing\n\n127.0.0.1 localhost\n::1 localhost ip6\n10.0.0.1 LOCALHOST\n")
    assert found[Question("A", "localhost")] == ("127.0.0.1", "10.0.0.1")
    assert found[Question("AAAA", "localhost")] == ("::1",)
    assert found[Question("A", "ip6")] == ()
