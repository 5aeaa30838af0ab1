"""The control socket: one bad client harms nothing, a missing node is said so."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipcore.control import CONNECTIONS, ControlFault, ControlServer, Table, ask, ask_async
from sipcore.errors import BadConfig, NoNode, SipcoreError

TABLE = Table(["call", "state"], [["1", "answered"], ["2", None]])


async def show(text: str) -> Table:
    if text != "calls":
        raise SipcoreError(f"nothing named {text!r}")
    return TABLE


async def refuse(text: str) -> object:
    raise BadConfig(["first - at line 1", "second - at line 2"])


async def stumble(text: str) -> object:
    raise ValueError("secret detail")


async def echo(text: str) -> str:
    return text


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    handlers = {"show": show, "import": refuse, "metrics": stumble, "echo": echo}
    server = ControlServer(tmp_path, handlers)
    await server.start()
    yield server
    await server.close()


@pytest.mark.usefixtures("server")
async def test_the_command_line_and_the_web_get_the_same_typed_answer(tmp_path: Path) -> None:
    assert await asyncio.to_thread(ask, tmp_path, "show", "calls", Table) == TABLE
    assert await ask_async(tmp_path, "show", "calls", Table) == TABLE


@pytest.mark.usefixtures("server")
async def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600


@pytest.mark.usefixtures("server")
async def test_a_refusal_comes_with_the_nodes_own_words(tmp_path: Path) -> None:
    with pytest.raises(ControlFault, match="nothing named 'cats'"):
        await ask_async(tmp_path, "show", "cats", Table)
    with pytest.raises(ControlFault) as caught:
        await ask_async(tmp_path, "import", "", Table)
    assert caught.value.faults == ["first - at line 1", "second - at line 2"]
    with pytest.raises(ControlFault, match="knows no verb 'dance'"):
        await ask_async(tmp_path, "dance", "", Table)


@pytest.mark.usefixtures("server")
async def test_a_bug_in_a_handler_tells_the_client_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ControlFault) as caught:
        await ask_async(tmp_path, "metrics", "", Table)
    assert "secret" not in str(caught.value)
    assert "secret detail" in caplog.text


@pytest.mark.usefixtures("server")
async def test_a_big_text_goes_through(tmp_path: Path) -> None:
    text = "客" * 1_000_000
    assert await ask_async(tmp_path, "echo", text, str, 30) == text


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "nonsense", [b"", b"\0\0", b"\0\0\0\4abcd", b"\0\0\0\0", b"\xff\xff\xff\xff", b"GET / HTTP/1.1"]
)
async def test_a_client_that_talks_nonsense_harms_nobody(tmp_path: Path, nonsense: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
    writer.write(nonsense)
    writer.write_eof()
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()
    assert await ask_async(tmp_path, "show", "calls", Table) == TABLE


@pytest.mark.usefixtures("server")
async def test_too_many_clients_are_hung_up_on(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    clients = [await asyncio.open_unix_connection(path) for _ in range(CONNECTIONS)]
    clients.append(await asyncio.open_unix_connection(path))
    async with asyncio.timeout(5):
        assert await clients[-1][0].read() == b""
    for _, writer in clients:
        writer.close()


def test_no_socket_and_a_dead_socket_mean_no_node(tmp_path: Path) -> None:
    with pytest.raises(NoNode):
        ask(tmp_path, "health", "", Table)
    with pytest.raises(NoNode):
        ask(tmp_path / "nothing", "health", "", Table)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control.sock"))
    dead.close()
    with pytest.raises(NoNode):
        ask(tmp_path, "health", "", Table)


def test_a_node_that_hangs_is_said_not_to_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "control.sock"))
        mute.listen()
        with pytest.raises(ControlFault, match="does not answer"):
            ask(tmp_path, "health", "", Table, timeout_s=0.05)


async def test_a_stale_socket_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "control.sock"))
    stale.close()
    server = ControlServer(tmp_path, {"echo": echo})
    await server.start()
    assert await ask_async(tmp_path, "echo", "hello", str) == "hello"
    await server.close()
    assert not (tmp_path / "control.sock").exists()


async def test_a_deep_data_folder_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = ControlServer(deep, {"echo": echo})
    await server.start()
    assert await ask_async(deep, "echo", "hello", str) == "hello"
    assert await asyncio.to_thread(ask, deep, "echo", "hello", str) == "hello"
    await server.close()
