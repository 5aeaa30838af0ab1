"""The signalling process: a Node with the machine's sockets, disk, clock and signals."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from pathlib import Path

import uvloop
from msgspec import Struct

from sipcore.cdr.journal import Journal, recover
from sipcore.clock import SystemClock
from sipcore.config import Config, Listen
from sipcore.control import ControlServer
from sipcore.errors import CannotStart, MediaError
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.media.control import unix_link
from sipcore.media.pool import MediaPool
from sipcore.media.salvaging import Salvaging
from sipcore.media.staging import staged_names
from sipcore.metrics import Metrics
from sipcore.node import Node, Parts
from sipcore.pages import MOST_AT_ONCE, LargePages
from sipcore.site import site_of
from sipcore.store.sqlite import Store
from sipcore.transport.nameserver import NameServers
from sipcore.transport.nft import Firewall, Wall
from sipcore.transport.routes import Routes, open_routes
from sipcore.transport.stream import StreamTransport
from sipcore.transport.tls import Tls
from sipcore.transport.udp import UdpTransport
from sipcore.transport.websocket import WebSocketTransport
from sipcore.views import Views

PAGES_S = 10.0
PEERS_S = 5.0  # until nftables hears that a carrier or trunk is new

_log = logger(__name__)


class ListenSocket(Listen, frozen=True):
    """A listening address that the supervisor has opened."""

    fd: int = -1


class SignallingSettings(Struct, frozen=True):
    """What the supervisor tells its signalling process."""

    config: Config
    data: str
    sockets: tuple[ListenSocket, ...]
    lifeline_fd: int


class SignallingProcess:
    """A Node with the machine's sockets, disk and signals."""

    def __init__(self, settings: SignallingSettings) -> None:
        self._settings = settings
        self._data = Path(settings.data)
        self._recordings = self._data / "recordings"
        self._stops = 0
        self._firewall: Firewall | None = None
        self._tasks: list[asyncio.Task[None]] = []  # what goes on beside calls till the end
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self) -> None:
        """Be the signalling process until a signal or the supervisor's death ends it."""
        config, clock = self._settings.config, SystemClock()
        self._watch()
        metrics, ids = Metrics(), Ids()
        left = await asyncio.to_thread(recover, self._data / "journal")
        journal = Journal(self._data / "journal", metrics, left)
        store = await asyncio.to_thread(Store.open, self._data, site_of(config))
        book = await asyncio.to_thread(store.load_book)
        salvaging = Salvaging(self._recordings)
        media = self._media(config, clock, ids, salvaging)
        writer = store.binding_writer()
        names = NameServers(asyncio.get_running_loop())
        secret_of = store.open_secret
        parts = Parts(clock, ids, metrics, journal, media, writer, book, secret_of, names)
        node = Node(config, parts)
        names.changed = node.endpoint.ways.resolver.names.forget
        journal.start()
        node.registrar.restore(await asyncio.to_thread(store.load_bindings, clock.wall_s()))
        views = Views(node, store, self._data, clock.wall_s())
        control = ControlServer(self._data, views.handlers())
        await control.start()
        routes = None
        try:
            await self._start_media(media)
            recordings = await asyncio.to_thread(staged_names, self._recordings)
            await self._guard(node)
            await self._open(node)
            routes = self._watch_routes(node)
            self._tasks.append(asyncio.create_task(salvaging.finish_all(recordings)))
            node.begin()
            node.recover(left)
            gc.collect()
            gc.freeze()  # what is there now stays: the collector need not walk it again
            gc.set_threshold(20_000, 10, 1000)
            self._tasks.append(asyncio.create_task(_gather_pages()))
            views.is_open = True
            _log.info("ready node=%s", config.node.name)
            await self._stopping.wait()
            await self._end(node, config.limits.drain_s)
        finally:
            await self._cancel()
            if routes is not None:
                routes.close()
            node.close()
            if self._firewall is not None:
                await self._firewall.close()
            await control.close()
            await media.stop()
            await journal.close()
            await asyncio.to_thread(writer.close)
            store.close()

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _watch_routes(self, node: Node) -> Routes | None:
        """Find all ways anew when the machine gets or loses an address or a route."""
        sock = open_routes()
        if sock is None:
            return None
        return Routes(asyncio.get_running_loop(), sock, node.change_addresses)

    def _media(
        self, config: Config, clock: SystemClock, ids: Ids, salvaging: Salvaging
    ) -> MediaPool:
        paths = [str(self._data / f"media-{n}.sock") for n in range(config.media.workers)]
        connects = [unix_link(path) for path in paths]
        media = config.media
        return MediaPool(
            media.address,
            media.ports,
            media.silence_s,
            clock,
            ids,
            connects,
            salvaging.finish,
            media.address6 or "",
        )

    async def _start_media(self, media: MediaPool) -> None:
        try:
            await media.start()
        except MediaError as fault:
            raise CannotStart(str(fault)) from None

    async def _guard(self, node: Node) -> None:
        """Give bans to nftables, where the configuration says so and the machine allows it."""
        if self._settings.config.guard.nft == "off":
            return
        firewall = self._firewall = Firewall(self._wall())
        if await firewall.start():
            node.guard.bans.banned = firewall.ban
            node.guard.bans.lifted = firewall.lift
            node.guard.busy = firewall.busy
            self._tasks.append(asyncio.create_task(_spare_peers(node, firewall)))

    def _wall(self) -> Wall:
        mine, sockets = self._settings.config.guard, self._settings.sockets
        metered = mine.nft_messages_per_s and max(mine.nft_messages_per_s, mine.messages_per_s)
        return Wall(
            frozenset(one.port for one in sockets),
            frozenset(one.port for one in sockets if one.transport == "udp"),
            metered,
            max(metered, mine.known_messages_per_s),
        )

    async def _open(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        for one in self._settings.sockets:
            kind = socket.SOCK_DGRAM if one.transport == "udp" else socket.SOCK_STREAM
            family = socket.AF_INET6 if ":" in one.address else socket.AF_INET
            sock = socket.socket(family, kind, fileno=one.fd)
            if one.transport == "udp":
                node.listen(
                    UdpTransport(loop, sock, node.endpoint.receive_all, node.queued_since),
                    one.advertise,
                )
            else:
                stream = self._stream(node, sock, one)
                await stream.start()
                node.listen(stream, one.advertise)

    def _stream(self, node: Node, sock: socket.socket, one: ListenSocket) -> StreamTransport:
        loop, receive, tls = asyncio.get_running_loop(), node.endpoint.receive, self._tls(one)
        if one.transport in ("ws", "wss"):
            return WebSocketTransport(loop, sock, receive, tls, one.origins)
        return StreamTransport(loop, sock, receive, tls)

    def _tls(self, one: ListenSocket) -> Tls | None:
        """Load the certificates of a listening address. Raises CannotStart."""
        if not one.is_secure:
            return None
        return Tls(one.pairs, one.client_ca or "", self._settings.config.sip.tls_ca or "")

    async def _end(self, node: Node, drain_s: float) -> None:
        """Drain; a second signal ends at once."""
        draining = asyncio.ensure_future(node.drain(drain_s))
        at_once = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait([draining, at_once], return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, at_once):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._at_once.is_set():
            await node.end()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_reader(self._settings.lifeline_fd, self._lifeline)

    def _stop(self) -> None:
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            self._at_once.set()

    def _lifeline(self) -> None:
        if not os.read(self._settings.lifeline_fd, 4096):  # the supervisor is gone
            asyncio.get_running_loop().remove_reader(self._settings.lifeline_fd)
            self._stops = 2
            self._stop()


async def _gather_pages() -> None:
    """Give what the process remembers large pages, a few at a time: it grows with the load."""
    pages = LargePages()
    while True:
        took = await asyncio.to_thread(pages.gather)
        await asyncio.sleep(PAGES_S if took < MOST_AT_ONCE else 1.0)


async def _spare_peers(node: Node, firewall: Firewall) -> None:
    """Keep nftables from metering who is listed, and carriers where we are registered."""
    book, spared = None, frozenset[str]()
    while True:
        if node.book is not book:
            book = node.book
            listed = await asyncio.to_thread(book.listed_networks)
        peers = frozenset(listed) | node.trunks.registrations.addresses()
        if peers != spared:
            spared = peers
            firewall.spare(peers)
        await asyncio.sleep(PEERS_S)


def run(settings: SignallingSettings) -> None:
    """Run the signalling process. Raises CannotStart."""

    async def main() -> None:
        await SignallingProcess(settings).run()

    uvloop.run(main())
