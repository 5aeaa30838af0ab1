"""What a running node answers on its control socket: tables, counts, readiness, imports."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from sipcore import __version__, catalogue
from sipcore.control import Cell, ControlFault, Readiness, Status, Table
from sipcore.errors import BadConfig
from sipcore.log import logger
from sipcore.media.control import Totals
from sipcore.message.notify import Counts
from sipcore.metrics import Family, LabelValues, by_process, family
from sipcore.node import Node
from sipcore.policy.concurrency import carrier_key, trunk_key
from sipcore.shares import MEDIA
from sipcore.store.apart import Imported, import_apart
from sipcore.store.database import StoreFault
from sipcore.store.handover import unpack
from sipcore.store.importer import Report
from sipcore.store.sqlite import Store

_log = logger(__name__)

Handler = Callable[[str], Awaitable[object]]


class Views:
    """The verbs of the control socket, for one node."""

    def __init__(self, node: Node, store: Store, folder: Path, started_at: float) -> None:
        self._node = node
        self._store = store
        self._folder = folder
        self._started_at = started_at
        self._importing = asyncio.Lock()
        self._reload_s: dict[LabelValues, float] = {("build",): 0.0, ("loop",): 0.0}
        self.is_open = False

    def handlers(self) -> dict[str, Handler]:
        """Return verb and function."""
        return {
            "show": self.show,
            "import": self.import_provisioning,
            "unban": self.unban,
            "mailbox": self.mailbox,
            "metrics": self.metrics,
            "ready": self.ready,
            "health": self.health,
        }

    async def health(self, _: str) -> Status:
        """Answer that signalling lives, with its counts."""
        node = self._node
        return Status(
            node=node.config.node.name,
            version=__version__,
            started_at=self._started_at,
            language=node.config.node.language,
            calls=len(node.desk.calls),
            bindings=len(node.registrar),
            trunks=len(node.book.carriers) + len(node.book.trunks),
            is_draining=node.desk.retry_after_s is not None,
        )

    async def ready(self, _: str) -> Readiness:
        """Answer why no call can be taken now."""
        return Readiness([text for text in self._reasons().values() if text])

    def _reasons(self) -> dict[str, str]:
        """Return every reason there may be against a call, "" where it does not hold now."""
        node = self._node
        is_draining = node.desk.retry_after_s is not None
        fault = node.parts.journal.fault
        are_up = node.parts.media.up_count() >= node.config.media.workers
        return {
            "starting": "" if self.is_open else "starting: sockets are not open yet",
            "draining": "draining: the node stops" if is_draining else "",
            "journal": "" if fault is None else f"journal: {fault}",
            "media": "" if are_up else "a media worker is not connected",
        }

    async def metrics(self, _: str) -> list[Family]:
        """Answer all counts of signalling and of the media workers."""
        node = self._node
        totals = await node.parts.media.metrics()
        workers = {f"media-{n}": n in totals for n in range(node.config.media.workers)}
        reasons: dict[LabelValues, float] = {
            (word,): bool(text) for word, text in self._reasons().items()
        }
        return [
            *node.parts.metrics.snapshot(),
            family(catalogue.INFO, {(node.config.node.name, __version__): 1}),
            family(catalogue.STARTED, self._started_at),
            family(catalogue.READY, not any(reasons.values())),
            family(catalogue.NOT_READY, reasons),
            family(catalogue.RELOAD, self._reload_s),
            by_process(catalogue.UP, {"signalling": 1, **workers}),
            *media_families(totals),
        ]

    async def import_provisioning(self, text: str) -> Report:
        """Import a file; the next call sees it."""
        async with self._importing:
            try:
                imported = await asyncio.to_thread(
                    import_apart, self._folder, self._store.site, text
                )
            except BadConfig as bad:
                raise ControlFault(bad.faults) from None
            except StoreFault as fault:
                raise ControlFault([str(fault)]) from None
            await self._swap(imported)
            return imported.report

    async def _swap(self, imported: Imported) -> None:
        """Take the new Book over, a part at a time, and measure what that costs the loop."""
        now = self._node.parts.clock.monotonic
        parts = unpack(imported.book, self._store.tariff)
        spent_s: list[float] = []
        book = None
        while book is None:
            began = now()
            try:
                next(parts)
            except StopIteration as done:
                book = done.value
                self._node.change_book(book)
            spent_s.append(now() - began)
            await asyncio.sleep(0)
        self._reload_s = {("build",): imported.build_s, ("loop",): sum(spent_s)}
        _log.info(
            "book extensions=%d built_ms=%.0f loop_ms=%.1f longest_ms=%.1f",
            book.extension_count,
            imported.build_s * 1000,
            sum(spent_s) * 1000,
            max(spent_s) * 1000,
        )

    async def show(self, what: str) -> Table:
        """Answer one of the tables."""
        match what:
            case "calls":
                return self._calls()
            case "bindings":
                return self._bindings()
            case "transactions":
                return self._transactions()
            case "trunks":
                return self._trunks()
            case "media":
                return await self._media()
            case "subscriptions":
                return self._subscriptions()
            case "bans":
                return self._bans()
        raise ControlFault([f"there is no table {what!r}"])

    async def mailbox(self, text: str) -> bool:
        """Set how many messages wait for an extension: `customer extension new old`."""
        words = text.split()
        if len(words) != 4 or not all(word.isdecimal() and len(word) < 6 for word in words[2:]):
            raise ControlFault(["a mailbox is CUSTOMER EXTENSION NEW OLD"])
        line = (words[0], words[1])
        if self._node.book.extension(*line) is None:
            raise ControlFault([f"there is no extension {words[1]} of {words[0]}"])
        self._node.mailboxes.put(line, Counts(int(words[2]), int(words[3])))
        return True

    def _subscriptions(self) -> Table:
        now = asyncio.get_running_loop().time()
        columns = ["customer", "subscriber", "package", "watches", "state", "expires_s", "flow"]
        rows: list[list[Cell]] = []
        for one in self._node.watchers:
            asked, subscription = one.asked, one.subscription
            left_s = max(0, round(subscription.expires_at - now))
            flow = str(one.dialog.flow) if one.dialog is not None else ""
            state = subscription.state
            rows.append([*asked.who, asked.package.name, one.line[1], state, left_s, flow])
        return Table(columns, rows)

    async def unban(self, address: str) -> bool:
        """Lift a ban; False where there is none."""
        try:
            return self._node.guard.unban(address, asyncio.get_running_loop().time())
        except ValueError:
            raise ControlFault([f"{address!r} is no IP address"]) from None

    def _bans(self) -> Table:
        now = asyncio.get_running_loop().time()
        rows: list[list[Cell]] = [
            [ban.source, ban.reason, ban.times, round(now - ban.since), round(ban.until - now)]
            for ban in self._node.guard.bans.active(now)
        ]
        return Table(["source", "reason", "times", "age_s", "left_s"], rows)

    def _calls(self) -> Table:
        rows = [call.describe() for call in self._node.desk.calls.values()]
        columns = ["id", "state", "direction", "customer", "caller", "callee", "via", "age_s"]
        columns.append("talked_s")
        return Table(columns, [[row[name] for name in columns] for row in rows])

    def _bindings(self) -> Table:
        now = self._node.parts.clock.wall_s()
        columns = ["customer", "user", "contact", "flow", "expires_s", "user_agent", "path"]
        rows: list[list[Cell]] = [
            [
                one.customer,
                one.extension,
                one.contact,
                f"{one.transport}:{one.remote_address}:{one.remote_port}",
                round(one.expires_at - now),
                one.user_agent,
                one.path,
            ]
            for one in self._node.registrar.all()
        ]
        return Table(columns, rows)

    def _transactions(self) -> Table:
        rows: list[list[Cell]] = [
            [one.method, "client" if one.is_client else "server", one.state, str(one.flow)]
            for one in self._node.stack.transactions()
        ]
        return Table(["method", "side", "state", "peer"], rows)

    def _trunks(self) -> Table:
        book, load = self._node.book, self._node.desk.slots.load
        rows: list[list[Cell]] = [
            [
                "carrier",
                one.id,
                one.uri,
                one.priority,
                one.weight,
                one.channels,
                load[carrier_key(one.id)],
                *self._standing(one.id),
            ]
            for one in book.carriers.values()
        ]
        rows += [
            [
                *("trunk", one.id, one.uri or "", None, None, one.channels),
                load[trunk_key(one.id)],
                "down" if self._node.trunks.is_up(f"trunk:{one.id}") is False else "good",
                *(None, None, None, ""),
            ]
            for one in book.trunks.values()
        ]
        columns = ["kind", "id", "uri", "priority", "weight", "channels", "in_use"]
        columns += ["state", "calls", "answered", "failed", "why"]
        return Table(columns, rows)

    def _standing(self, carrier: str) -> list[Cell]:
        """Return how a carrier stands, what became of its last calls, and why."""
        trunks = self._node.trunks
        seen = trunks.figures(carrier)
        return [
            trunks.state(carrier), seen.calls, seen.answered, seen.failed, trunks.reason(carrier)
        ]  # fmt: skip

    async def _media(self) -> Table:
        columns = [
            "call",
            "side",
            "worker",
            "port",
            "remote",
            "latched",
            "codec",
            "packets",
            "lost",
        ]
        columns += ["jitter_ms", "mode", "delay_ms", "late", "foreign", "age_s"]
        rows: list[list[Cell]] = []
        for leg in await self._node.parts.media.survey():
            state = leg.state
            rows.append(
                [
                    leg.call,
                    leg.side,
                    leg.worker,
                    state.port,
                    f"{state.remote_address}:{state.remote_port}",
                    state.is_latched,
                    leg.codec,
                    state.packets,
                    state.lost,
                    round(state.jitter_ms, 1),
                    state.mode,
                    round(state.delay_ms, 1),
                    state.late,
                    state.foreign,
                    round(leg.last_packet_age_s, 1),
                ]
            )
        return Table(columns, rows)


def media_families(totals: dict[int, Totals]) -> list[Family]:
    """Return the workers' totals, a sample a worker."""
    return [
        by_process(
            share.definition,
            {f"media-{n}": getattr(one, share.field) * share.scale for n, one in totals.items()},
        )
        for share in MEDIA
    ]
