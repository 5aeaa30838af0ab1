"""DATA/control.sock: what people and the web process ask a running node, and what it answers.

A frame is its length (4 bytes, big endian) and MessagePack. One request and one reply a connection
at a time. Only the owner of the data folder can connect (0600): there is no other sign-in.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from sipcore.errors import BadConfig, NoNode, SipcoreError
from sipcore.log import logger

SOCKET_NAME = "control.sock"
REQUEST_BYTES = 16 << 20
REPLY_BYTES = 256 << 20
CONNECTIONS = 32
READ_S = 10.0  # a client that began a request has this long to finish it
IDLE_S = 60.0
_UNIX_PATH_BYTES = 100  # the kernel takes 107 (unix(7)); above this, see _within_reach

Cell = str | int | float | bool | None
Handler = Callable[[str], Awaitable[object]]
Kind = TypeVar("Kind")

_log = logger(__name__)


class Request(Struct, frozen=True):
    """`verb`: show (text: what), import (text: the file),
    unban (text: an address), mailbox (text: customer, extension, new, old),
    metrics, ready, health."""

    verb: str
    text: str = ""


class Reply(Struct, frozen=True):
    """`value` when all went well, else `faults`, each a sentence for the one who asked."""

    value: Raw = Raw(b"\xc0")  # MessagePack nil
    faults: list[str] = []


class Table(Struct, frozen=True):
    """What `show` answers: one row a thing, cells in the order of `columns`."""

    columns: list[str]
    rows: list[list[Cell]]


class Status(Struct, frozen=True, kw_only=True):
    """What `health` answers: enough for the status page, nothing that names a customer."""

    node: str
    version: str
    started_at: float
    language: str = "zh"
    calls: int = 0
    bindings: int = 0
    trunks: int = 0
    is_draining: bool = False


class Readiness(Struct, frozen=True):
    """What `ready` answers: why the node takes no calls now; nothing when it does."""

    reasons: list[str] = []


class ControlFault(SipcoreError):
    """The node is there and could not do what was asked. `faults` are sentences."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ControlServer:
    """Answers verbs. `handlers`: {verb: async function of the text, returning plain data}.

    A handler refuses by raising a SipcoreError: its words go to the client. Anything else that it
    raises is a bug: logged, and the client hears that it was one.
    """

    def __init__(self, folder: Path, handlers: Mapping[str, Handler]) -> None:
        self._folder = folder
        self._handlers = handlers
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on DATA/control.sock. node.lock says that nobody else does: a stale one goes."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _within_reach(self._folder) as path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            mask = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(mask)
        self._server = await asyncio.start_unix_server(self._welcome, sock=listener)

    async def close(self) -> None:
        """Stop listening, remove the socket, end the clients."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                (self._folder / SOCKET_NAME).unlink()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) <= CONNECTIONS:
                await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError):
            pass  # a client that breaks off or talks nonsense is hung up on
        except asyncio.CancelledError:
            pass  # close(): the task ends here anyway
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_S):
                head = await reader.readexactly(4)
            size = _size(head)
            if size > REQUEST_BYTES:
                writer.write(_frame(_refusal(f"a request may have {REQUEST_BYTES} bytes")))
                return await writer.drain()
            async with asyncio.timeout(READ_S):
                body = await reader.readexactly(size)
            writer.write(_frame(await self._answer(msgspec.msgpack.decode(body, type=Request))))
            async with asyncio.timeout(READ_S):
                await writer.drain()

    async def _answer(self, request: Request) -> Reply:
        handler = self._handlers.get(request.verb)
        if handler is None:
            return _refusal(f"the node knows no verb {request.verb!r}")
        try:
            return Reply(Raw(msgspec.msgpack.encode(await handler(request.text))))
        except BadConfig as fault:
            return Reply(faults=fault.faults)
        except SipcoreError as fault:
            return _refusal(str(fault))
        except Exception:
            _log.exception("control verb=%s failed", request.verb)
            return _refusal("the node failed on this: a bug, see its log")


def ask(folder: Path, verb: str, text: str, kind: type[Kind], timeout_s: float = 30.0) -> Kind:
    """Ask the node on data folder `folder` and return its answer as a `kind`. Blocks.

    Raises NoNode, or ControlFault with the node's own words or for a node that does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with _within_reach(folder) as path:
                connection.connect(path)
            connection.sendall(_frame(Request(verb, text)))
            body = _receive(connection, _checked(_size(_receive(connection, 4))))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NoNode(f"no node runs on {folder}") from None
        except PermissionError:
            raise ControlFault([f"not allowed to talk to the node on {folder}"]) from None
        except (OSError, EOFError) as fault:
            raise _silent(str(fault)) from None
    return _opened(body, kind)


async def ask_async(
    folder: Path, verb: str, text: str, kind: type[Kind], timeout_s: float = 2.0
) -> Kind:
    """Do what ask() does, without blocking the loop."""
    try:
        async with asyncio.timeout(timeout_s):
            with _within_reach(folder) as path:
                reader, writer = await asyncio.open_unix_connection(path)
            with contextlib.closing(writer):
                writer.write(_frame(Request(verb, text)))
                size = _checked(_size(await reader.readexactly(4)))
                body = await reader.readexactly(size)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoNode(f"no node runs on {folder}") from None
    except (OSError, EOFError) as fault:
        raise _silent(str(fault)) from None
    return _opened(body, kind)


def _opened(body: bytes, kind: type[Kind]) -> Kind:
    try:
        reply = msgspec.msgpack.decode(body, type=Reply)
        if reply.faults:
            raise ControlFault(reply.faults)
        return msgspec.msgpack.decode(reply.value, type=kind)
    except msgspec.MsgspecError as fault:
        raise _silent(f"another version? {fault}") from None


def _silent(why: str) -> ControlFault:
    return ControlFault([f"the node does not answer: {why or 'timed out'}"])


def _refusal(words: str) -> Reply:
    return Reply(faults=[words])


def _frame(value: Request | Reply) -> bytes:
    body = msgspec.msgpack.encode(value)
    return struct.pack(">I", len(body)) + body


def _size(head: bytes) -> int:
    return int.from_bytes(head, "big")


def _checked(size: int) -> int:
    if size > REPLY_BYTES:
        raise EOFError(f"an answer of {size} bytes")
    return size


def _receive(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = connection.recv(min(1 << 20, size - len(content)))
        if not piece:
            raise EOFError("it hung up")
        content += piece
    return bytes(content)


@contextlib.contextmanager
def _within_reach(folder: Path) -> Iterator[str]:
    """Yield a path of the socket short enough for the kernel, however deep the folder is."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) <= _UNIX_PATH_BYTES:
        yield path
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)
