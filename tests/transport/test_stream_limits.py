"""Connections on real loopback sockets: how many, whose, and how long they may say nothing."""

import asyncio
import socket

import pytest

from sipcore.message.framing import PING, PONG
from sipcore.transport import connection
from sipcore.transport.bounds import Bounds
from sipcore.transport.connection import MOST_PINGS
from sipcore.transport.stream import StreamTransport
from tests.transport.conftest import Run
from tests.transport.tcp import ONE, TWO, client, end, end_lost, peers


class Claimed(socket.socket):
    """A listening socket whose clients seem to come from all over one IPv6 /64."""

    count = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        sock, _ = super().accept()
        self.count += 1
        return sock, (f"2001:db8::{self.count:x}", 5060)


def test_all_addresses_of_one_ipv6_network_are_one_source(run: Run) -> None:
    async def main() -> None:
        sock = Claimed()
        sock.bind(("127.0.0.1", 0))
        transport = StreamTransport(asyncio.get_running_loop(), sock, lambda *what: None)
        transport.bounds = Bounds(of_one_source=2)
        await transport.start()
        writers = [
            (await asyncio.open_connection("127.0.0.1", transport.port))[1] for _ in range(3)
        ]
        while not transport.ended["limit"]:  # noqa: ASYNC110 - the kernel has no event
            await asyncio.sleep(0)
        assert len(transport) == 2
        transport.close()
        while len(transport):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        for writer in writers:
            writer.close()

    run(main())


def test_a_stranger_who_is_banned_loses_the_connection_it_has(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            _, writer = await client(here)
            writer.write(ONE)
            await here.heard.get()
            here.transport.is_banned = lambda source: source == "127.0.0.1"
            writer.write(ONE)
            await here.reports("limit")
            await here.become(0)
            assert here.heard.empty()
            await end_lost(writer)

    run(main())


def test_too_many_connections_of_one_source_are_refused(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(of_one_source=2)) as (here,):
            first, second = await client(here), await client(here)
            await here.become(2)
            reader, writer = await client(here)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert len(here.transport) == 2
            await end(first[1])
            await here.become(1)
            third = await client(here)
            await here.become(2)
            for _, one in (second, third):
                await end(one)

    run(main())


def test_strangers_of_one_source_have_few_connections_and_known_sources_many(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(strangers_of_one_source=1)) as (here,):
            clients = [await client(here), await client(here)]
            await here.reports(connection.LIMIT)
            assert len(here.transport) == 1
            clients[0][1].write(ONE)
            _, flow = await here.heard.get()
            here.transport.vouch(flow.connection)
            clients.append(await client(here))
            here.transport.is_known = lambda source: source == "127.0.0.1"
            clients += [await client(here), await client(here)]
            for _, writer in clients[2:]:
                writer.write(ONE)
                await here.heard.get()
            assert len(here.transport) == 4
            for _, writer in clients:
                writer.close()

    run(main())


def test_strangers_cannot_keep_known_sources_out(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(strangers=0)) as (here,):
            _, refused = await client(here)
            await here.reports(connection.LIMIT)
            here.transport.is_known = lambda source: True
            _, taken = await client(here)
            taken.write(ONE)
            await here.heard.get()
            refused.close()
            taken.close()

    run(main())


def test_a_connection_costs_its_source_something(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            asked: list[tuple[str, int]] = []

            def admits(source: str, cost: int) -> bool:
                asked.append((source, cost))
                return len(asked) == 1

            here.transport.admits = admits
            clients = [await client(here), await client(here)]
            await here.reports(connection.LIMIT)
            assert asked == [("127.0.0.1", 1)] * 2
            assert len(here.transport) == 1
            for _, writer in clients:
                writer.close()

    run(main())


def test_a_connection_of_ours_above_the_limit_is_told_lost(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(connections=0)) as (here,):
            listener = socket.create_server(("127.0.0.1", 0))
            told = asyncio.Event()
            here.transport.send(ONE, here.to(listener.getsockname()[1]), told.set)
            await told.wait()
            listener.close()

    run(main())


def test_who_sends_keep_alives_without_end_loses_the_connection(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            reader, writer = await client(here)
            writer.write(PING * MOST_PINGS)
            assert await reader.readexactly(2 * MOST_PINGS) == PONG * MOST_PINGS
            writer.write(PING)
            await here.reports(connection.LIMIT)
            await here.become(0)
            writer.close()

    run(main())


def test_a_message_that_is_not_finished_ends_its_connection(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(look_s=0.01, message_s=0.0)) as (here,):
            _, writer = await client(here)
            writer.write(ONE[:-1])
            await here.reports(connection.SLOW)
            await here.become(0)
            assert here.heard.empty()
            writer.close()

    run(main())


def test_a_stranger_must_speak_and_one_who_is_vouched_for_may_be_silent(run: Run) -> None:
    async def main() -> None:
        async with peers(1, Bounds(look_s=0.01, stranger_s=0.05)) as (here,):
            first, second = await client(here), await client(here)
            second[1].write(ONE)
            _, flow = await here.heard.get()
            here.transport.vouch(flow.connection)
            here.transport.vouch(flow.connection)
            first[1].write(b"\r\n\r\n")
            assert await first[0].read() == b"\r\n", "a ping alone is no message"
            assert here.transport.ended[connection.SLOW] == 1
            assert here.transport.is_open(flow)
            here.transport.send(TWO, flow)
            assert await second[0].readexactly(len(TWO)) == TWO
            for _, writer in (first, second):
                writer.close()

    run(main())


def test_one_who_is_silent_for_hours_is_ended(run: Run) -> None:
    async def main() -> None:
        async with peers(2, Bounds(look_s=0.01, idle_s=0.0)) as (here, there):
            here.transport.send(ONE, here.to(there.transport.port))
            assert (await there.heard.get())[0] == ONE
            await here.reports(connection.IDLE)
            await there.become(0)

    run(main())
