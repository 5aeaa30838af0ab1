"""SIP over UDP on real loopback sockets."""

import asyncio
import time
from collections.abc import Sequence

from sipcore.message.flow import Flow
from sipcore.transport.udp import DATAGRAM_BYTES, JUDGE_S, MOST_AT_ONCE, UdpTransport
from tests.transport.conftest import Run
from tests.transport.udp import Peer, bound


def test_a_datagram_comes_with_the_flow_it_came_by(run: Run) -> None:
    async def main() -> None:
        for address in ("127.0.0.1", "::1"):
            here, there = Peer(address), Peer(address)
            here.transport.send(b"hello", here.to(there))
            data, flow = await there.heard.get()
            assert (data, flow) == (b"hello", there.to(here))
            there.transport.send(b"answer", flow)
            assert (await here.heard.get())[0] == b"answer"
            here.transport.close()
            there.transport.close()

    run(main())


def test_a_burst_is_read_batch_by_batch_and_nothing_is_lost(run: Run) -> None:
    async def main() -> None:
        here, there = Peer(), Peer()
        sent = [b"message %d" % n for n in range(MOST_AT_ONCE * 3 + 1)]
        for data in sent:
            here.transport.send(data, here.to(there))
        assert [(await there.heard.get())[0] for _ in sent] == sent
        here.transport.close()
        there.transport.close()

    run(main())


def test_under_load_what_gathers_leaves_in_its_order_and_whole(run: Run) -> None:
    async def main() -> None:
        loop, here, there = asyncio.get_running_loop(), Peer(), Peer()
        until, number = loop.time() + 3 * JUDGE_S, 0
        while loop.time() < until:  # thousands a second: both ends poll before it is over
            sent = [b"message %d" % n for n in range(number, number + MOST_AT_ONCE)]
            number += len(sent)
            for data in sent:
                here.transport.send(data, here.to(there))
            for _ in sent:
                data, flow = await there.heard.get()
                there.transport.send(data, flow)
            assert [(await here.heard.get())[0] for _ in sent] == sent
        here.transport.close()
        there.transport.close()

    run(main())


def test_under_load_it_is_told_how_long_the_oldest_of_a_batch_waits(run: Run) -> None:
    async def main() -> None:
        loop, here = asyncio.get_running_loop(), Peer()
        told: list[float] = []
        heard: list[bytes] = []

        def hear(batch: Sequence[tuple[bytes, Flow]]) -> None:
            heard.extend(data for data, _ in batch)

        busy = UdpTransport(loop, bound(), hear, told.append)
        began, until = time.time(), loop.time() + 3 * JUDGE_S
        flow = Flow("udp", here.transport.address, here.transport.port, busy.address, busy.port)
        here.transport.send(b"hello", flow)
        await asyncio.sleep(0.01)
        assert told == [], "not polled yet"
        while loop.time() < until:
            for _ in range(MOST_AT_ONCE // 2):
                here.transport.send(b"message", flow)
            await asyncio.sleep(0.001)
        assert 0.0 in told, "the socket was empty at times"
        assert all(one == 0.0 or began - 1 <= one <= time.time() + 1 for one in told)
        assert max(told) > began - 1
        busy.close()
        here.transport.close()

    run(main())


def test_a_bug_met_under_load_leaves_the_socket_heard(run: Run) -> None:
    async def main() -> None:
        loop, here = asyncio.get_running_loop(), Peer()
        bugs: asyncio.Queue[object] = asyncio.Queue()
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        is_polled = asyncio.Event()
        loop.set_exception_handler(lambda _, context: bugs.put_nowait(context["exception"]))

        def hear(batch: Sequence[tuple[bytes, Flow]]) -> None:
            if any(data == b"a bug" for data, _ in batch):
                raise LookupError
            for data, _ in batch:
                heard.put_nowait(data)

        busy = UdpTransport(loop, bound(), hear, lambda since: is_polled.set())
        flow = Flow("udp", here.transport.address, here.transport.port, busy.address, busy.port)
        while not is_polled.is_set():
            for _ in range(MOST_AT_ONCE):
                here.transport.send(b"message", flow)
            for _ in range(MOST_AT_ONCE):
                await heard.get()
        here.transport.send(b"a bug", flow)
        assert isinstance(await bugs.get(), LookupError)
        here.transport.send(b"hello", flow)
        assert await asyncio.wait_for(heard.get(), 5) == b"hello"
        busy.close()
        here.transport.close()

    run(main())


def test_the_keep_alives_of_phones_are_no_messages(run: Run) -> None:
    async def main() -> None:
        here, there = Peer(), Peer()
        for data in (b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"hello"):
            here.transport.send(data, here.to(there))
        assert (await there.heard.get())[0] == b"hello"
        assert there.heard.empty()
        here.transport.close()
        there.transport.close()

    run(main())


def test_a_datagram_that_cannot_go_is_told_lost(run: Run) -> None:
    async def main() -> None:
        here = Peer()
        lost: list[str] = []
        nowhere = Flow("udp", "127.0.0.1", here.transport.port, "255.255.255.255", 5060)
        here.transport.send(b"hello", nowhere, lambda: lost.append("broadcast"))
        too_large = Flow("udp", "127.0.0.1", here.transport.port, "127.0.0.1", 5060)
        here.transport.send(b"x" * DATAGRAM_BYTES, too_large, lambda: lost.append("size"))
        here.transport.send(b"x" * DATAGRAM_BYTES, too_large)
        assert lost == ["broadcast", "size"]
        here.transport.close()

    run(main())


def test_a_port_where_nobody_is_does_not_disturb_the_others(run: Run) -> None:
    async def main() -> None:
        here, there, gone = Peer(), Peer(), Peer()
        to_gone = here.to(gone)
        gone.transport.close()
        here.transport.send(b"into the void", to_gone)
        here.transport.send(b"hello", here.to(there))
        assert (await there.heard.get())[0] == b"hello"
        here.transport.close()
        there.transport.close()

    run(main())
