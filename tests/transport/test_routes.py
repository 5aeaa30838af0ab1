"""Changes of addresses are heard of, once for a burst."""

import asyncio
import errno
import socket

import pytest

from sipcore.transport.routes import SETTLE_S, Routes, open_routes
from tests.sim.loop import simulate


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_a_burst_of_changes_is_told_once_a_second_later() -> None:
    async def main() -> None:
        kernel, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        told: list[float] = []
        with kernel:
            here = Routes(asyncio.get_running_loop(), mine, lambda: told.append(_now()))
            begun = _now()
            for _ in range(100):
                kernel.send(b"a new address")
            await asyncio.sleep(5)
            assert told == [begun + SETTLE_S]
            kernel.send(b"a route is gone")
            await asyncio.sleep(0.5)
            here.close()
            await asyncio.sleep(5)
            assert len(told) == 1, "closed, it tells nothing more"

    simulate(main())


class Broken(socket.socket):
    """Fails at the first read."""

    fault = 0

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        fault, self.fault = self.fault, 0
        if fault:
            raise OSError(fault, "broken")
        return super().recv(bufsize, flags)


@pytest.mark.parametrize(("fault", "is_said"), [(errno.ENOBUFS, False), (errno.EIO, True)])
def test_what_cannot_be_read_is_a_change_too(
    fault: int, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        kernel, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        broken = Broken(socket.AF_UNIX, socket.SOCK_DGRAM, fileno=mine.detach())
        broken.fault = fault
        told = asyncio.Event()
        with kernel:
            here = Routes(asyncio.get_running_loop(), broken, told.set)
            kernel.send(b"more than fits")
            await told.wait()
            here.close()
            assert ("not noticed" in caplog.text) is is_said

    simulate(main())


def test_a_kernel_without_such_sockets_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The family is replaced by one that no kernel has."""
    if (sock := open_routes()) is not None:
        sock.close()
    monkeypatch.setattr(socket, "AF_NETLINK", 999)
    assert open_routes() is None
    assert "not noticed" in caplog.text
