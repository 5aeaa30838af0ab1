"""SIP over TLS on real loopback sockets: certificates by name, peers that prove who they are."""

import asyncio
import datetime
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sipcore.errors import CannotStart
from sipcore.message.flow import Flow
from sipcore.transport import connection
from sipcore.transport.bounds import Bounds
from sipcore.transport.stream import StreamTransport
from sipcore.transport.tls import Tls, proven_names
from tests.transport.certificates import Authority, Pair
from tests.transport.conftest import Run
from tests.transport.tcp import ONE, TWO, Listener


class Peer(Listener):
    """At a TLS address."""

    def __init__(
        self, authority: Authority, pairs: Sequence[Pair], address: str, *, asks: bool = False
    ) -> None:
        super().__init__()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family)
        sock.bind((address, 0))
        self.tls = Tls(pairs, authority.file if asks else "", authority.file)
        self.transport = StreamTransport(asyncio.get_running_loop(), sock, self.hear, self.tls)

    def to(self, other: "Peer", domain: str) -> Flow:
        mine, theirs = self.transport, other.transport
        return Flow("tls", mine.address, mine.port, theirs.address, theirs.port, domain=domain)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def opened(*made: Peer) -> AsyncIterator[None]:
    for one in made:
        await one.transport.start()
    try:
        yield
    finally:
        for one in made:
            one.transport.close()
            await one.become(0)


def believing(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


async def shown(peer: Peer, context: ssl.SSLContext, name: str | None) -> tuple[str, ...]:
    """Connect, asking for a name; return the names of the certificate that is shown."""
    context.check_hostname = False
    _, writer = await asyncio.open_connection(
        peer.transport.address, peer.transport.port, ssl=context, server_hostname=name or ""
    )
    names = proven_names(writer.get_extra_info("peercert"))
    writer.transport.abort()
    return names


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_message_goes_over_tls_and_its_answer_comes_back(
    run: Run, authority: Authority, address: str
) -> None:
    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], address)
        there = Peer(authority, [authority.issue("there.example")], address)
        async with opened(here, there):
            here.transport.send(ONE, here.to(there, "there.example"))
            here.transport.send(TWO, here.to(there, "there.example"))
            assert [(await there.heard.get())[0] for _ in range(2)] == [ONE, TWO]
            here.transport.send(ONE, here.to(there, "there.example"))
            data, flow = await there.heard.get()
            assert (data, flow.transport, flow.remote_address) == (ONE, "tls", address)
            there.transport.send(TWO, flow)
            assert (await here.heard.get())[0] == TWO
            assert (len(here.transport), len(there.transport)) == (1, 1)

    run(main())


@pytest.mark.parametrize(
    ("names", "domain", "is_right"),
    [
        (("carrier.example",), "carrier.example", True),
        (("carrier.example",), "other.example", False),
        (("*.example",), "carrier.example", False),  # RFC 5922 7.2
        (("sip:carrier.example", "host.example"), "carrier.example", True),
        (("sip:carrier.example", "host.example"), "host.example", False),  # RFC 5922 7.1
        (("sip:user@carrier.example",), "carrier.example", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "", True),
        (("carrier.example",), "", False),
        ((), "common.example", True),
    ],
)
def test_a_peer_must_prove_the_domain_that_is_meant(
    run: Run, authority: Authority, names: tuple[str, ...], domain: str, is_right: bool
) -> None:
    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1")
        pair = authority.issue(*names, file="there", common="common.example")
        there = Peer(authority, [pair], "127.0.0.1")
        lost = asyncio.Event()
        async with opened(here, there):
            here.transport.send(ONE, here.to(there, domain), lost.set)
            if is_right:
                assert (await there.heard.get())[0] == ONE
            else:
                await lost.wait()
                await there.become(0)
                assert there.heard.empty()

    run(main())


@pytest.mark.parametrize("domain", [".example", "a..example", "a" * 64 + ".example"])
def test_a_domain_that_is_no_name_is_a_place_that_cannot_be_reached(
    run: Run, authority: Authority, domain: str
) -> None:
    async def main() -> None:
        faults: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: faults.append(what))
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1")
        there = Peer(authority, [authority.issue("there.example")], "127.0.0.1")
        lost = asyncio.Event()
        async with opened(here, there):
            here.transport.send(ONE, here.to(there, domain), lost.set)
            await lost.wait()
            await here.become(0)
        gc.collect()
        assert faults == []

    run(main())


def test_a_peer_of_a_foreign_authority_gets_nothing(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "Foreign CA")

    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1")
        there = Peer(foreign, [foreign.issue("there.example")], "127.0.0.1")
        lost = asyncio.Event()
        async with opened(here, there):
            here.transport.send(ONE, here.to(there, "there.example"), lost.set)
            await lost.wait()
            await there.reports(connection.HANDSHAKE)
            assert there.heard.empty()

    run(main())


def test_the_name_that_a_client_asks_for_chooses_the_certificate(
    run: Run, authority: Authority
) -> None:
    async def main() -> None:
        pairs = [authority.issue(name) for name in ("a.example", "b.example", "*.c.example")]
        here = Peer(authority, pairs, "127.0.0.1")
        async with opened(here):
            for asked, got in (
                ("b.example", "b.example"),
                ("B.Example", "b.example"),
                ("x.c.example", "*.c.example"),
                ("z.example", "a.example"),
                (None, "a.example"),
            ):
                assert await shown(here, believing(authority), asked) == (got,)

    run(main())


def test_a_client_may_prove_its_name_and_need_not(run: Run, authority: Authority) -> None:
    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1", asks=True)
        trunk = authority.issue("sip:pbx.example", file="trunk")
        async with opened(here):
            for pair, names in ((trunk, ("pbx.example",)), (None, ())):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    here.transport.port,
                    ssl=believing(authority, pair),
                    server_hostname="here.example",
                )
                writer.write(ONE)
                _, flow = await here.heard.get()
                assert here.transport.names_of(flow.connection) == names
                writer.transport.abort()
            await here.become(0)
            assert here.transport.names_of(flow.connection) == ()

    run(main())


def test_a_client_with_a_foreign_certificate_is_not_let_in(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "Foreign CA").issue("pbx.example")

    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1", asks=True)
        async with opened(here):
            context = believing(authority, foreign)
            context.maximum_version = ssl.TLSVersion.TLSv1_2  # then the client sees it at once
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await shown(here, context, "here.example")
            await here.reports(connection.HANDSHAKE)

    run(main())


def test_new_certificates_are_used_and_connections_go_on(run: Run, authority: Authority) -> None:
    async def main() -> None:
        pair = authority.issue("old.example", file="ours")
        here = Peer(authority, [pair], "127.0.0.1")
        there = Peer(authority, [authority.issue("there.example")], "127.0.0.1")
        async with opened(here, there):
            there.transport.send(ONE, there.to(here, "old.example"))
            _, flow = await here.heard.get()
            assert not here.tls.reload(), "nothing has changed"
            authority.issue("new.example", file="ours")
            assert here.tls.reload()
            assert await shown(here, believing(authority), None) == ("new.example",)
            here.transport.send(TWO, flow)
            assert (await there.heard.get())[0] == TWO

    run(main())


def test_files_that_do_not_fit_together_change_nothing(authority: Authority) -> None:
    pair = authority.issue("old.example", file="ours")
    tls = Tls([pair])
    Path(pair[1]).write_bytes(Path(authority.issue("other.example")[1]).read_bytes())
    assert not tls.reload()
    Path(pair[1]).unlink()
    assert not tls.reload()
    soon = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    authority.issue("new.example", file="ours", end=soon)
    assert tls.reload()
    assert tls.expires_at == soon.timestamp()


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, tmp_path: Path, broken: int
) -> None:
    files = [*authority.issue("a.example"), authority.file]
    files[broken] = str(tmp_path / "broken.pem")
    with pytest.raises(CannotStart, match="No such file"):
        Tls([(files[0], files[1])], files[2])
    Path(files[broken]).write_text("-----BEGIN NOTHING-----\n")
    with pytest.raises(CannotStart, match=r"broken\.pem"):
        Tls([(files[0], files[1])], files[2])


def test_an_old_protocol_and_plain_text_are_refused(run: Run, authority: Authority) -> None:
    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1")
        async with opened(here):
            _, writer = await asyncio.open_connection("127.0.0.1", here.transport.port)
            writer.write(ONE)
            await here.reports(connection.HANDSHAKE)
            await here.become(0)
            writer.close()
            assert here.heard.empty()

    run(main())


def test_a_handshake_that_does_not_end_is_ended_and_counts_meanwhile(
    run: Run, authority: Authority
) -> None:
    async def main() -> None:
        here = Peer(authority, [authority.issue("here.example")], "127.0.0.1")
        here.transport.bounds = Bounds(handshake_s=0.05, strangers=1)
        async with opened(here):
            _, mute = await asyncio.open_connection("127.0.0.1", here.transport.port)
            await here.become(1)
            _, next_one = await asyncio.open_connection("127.0.0.1", here.transport.port)
            await here.reports(connection.LIMIT)
            await here.reports(connection.HANDSHAKE)
            await here.become(0)
            for writer in (mute, next_one):
                writer.close()

    run(main())
