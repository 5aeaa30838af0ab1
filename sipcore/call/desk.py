"""Desk: what every call needs of its node, handed in by node.py; and the live calls."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field

from sipcore.call.inbox import Inbox
from sipcore.call.lamp import Line, Watch
from sipcore.call.leg import REPLACES, Item
from sipcore.call.trunks import Trunks
from sipcore.cdr.entry import Entry
from sipcore.clock import Clock
from sipcore.dialog.refresh import TAG as TIMER
from sipcore.dialog.refresh import Rules
from sipcore.dialog.reliable import TAG as RELIABLE
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.media.pool import MediaPool
from sipcore.message.flow import Hop
from sipcore.message.message import Headers
from sipcore.message.notify import DialogState
from sipcore.metrics import Metrics
from sipcore.policy.book import Book
from sipcore.policy.concurrency import Slots
from sipcore.store.bindings import BindingKey


class Journal(Protocol):
    """Where what happened is written down."""

    def append(self, entry: Entry) -> None: ...

    async def sync(self) -> None: ...

    @property
    def fault(self) -> str | None: ...


class Reach(Struct, frozen=True, gc=False):
    """How a registered contact is reached: Request-URI, way, and Route (RFC 3327) if it has one."""

    uri: str
    hop: Hop
    route: tuple[str, ...]
    key: BindingKey


class Contacts(Protocol):
    """Where the devices of an extension or a customer's PBX are now."""

    def ways_to(self, customer: str, user: str) -> list[Reach]:
        """Return the way to every device registered, the preferred and latest first."""
        ...

    def flow_failed(self, key: BindingKey) -> Reach | None:
        """Forget a flow that has gone; return the way over another flow of the device."""
        ...


class Settings(Struct, frozen=True):
    """Numbers that the call code needs."""

    node: str = "node-1"
    most_calls: int = 2000
    ring_s: float = 60.0  # an extension or a PBX
    outside_ring_s: float = 180.0  # timer C (RFC 3261 16.6)
    carrier_silence_s: float = 4.0  # service.md section 1: then the next carrier is tried
    silence_s: float = 60.0
    refresh: Rules = Rules()
    is_reliable: bool = True  # 18x are acknowledged where a peer can (RFC 3262)
    told_carriers: Headers = field(default_factory=lambda: callee_headers(Rules(), "supported"))
    told_callees: Headers = field(
        default_factory=lambda: callee_headers(Rules(), "supported", REPLACES)
    )


def callee_headers(rules: Rules, reliable: str, *more: str) -> Headers:
    """Return what every INVITE of ours says of 100rel ("off", "supported", "required") and timers.

    `more` are further option tags that they understand of us.
    They are the same lists for all calls, and must not be changed.
    """
    tags = [] if reliable == "off" else [RELIABLE]
    headers = {"Supported": [", ".join([*tags, TIMER, *more])], **rules.ask()}
    if reliable == "required":
        headers["Require"] = [RELIABLE]
    return headers


class LiveCall(Protocol):
    """A call in progress, as people who look in and the node's end see it."""

    id: str
    state: str
    task: asyncio.Task[None]

    def dialog_of(self, line: Line) -> DialogState | None:
        """Return what the busy lamp of an extension shows of the call."""
        ...

    @property
    def is_answered(self) -> bool: ...

    @property
    def records(self) -> list[str]:
        """The ids of its records that go on: several after a transfer."""
        ...

    def end_for(self, reason: str) -> None:
        """Ask the call to end; it does so as soon as it can."""
        ...

    def describe(self) -> Mapping[str, str | float | None]:
        """Return what `sipcore show calls` tells."""
        ...


class Desk:
    """One per node. `book` returns the snapshot of now: a call keeps the one it began with."""

    def __init__(
        self,
        endpoint: Endpoint,
        media: MediaPool,
        journal: Journal,
        contacts: Contacts,
        tools: "Tools",
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.endpoint = endpoint
        self.media = media
        self.journal = journal
        self.contacts = contacts
        self.book = tools.book
        self.metrics = tools.metrics
        self.clock = tools.clock
        self.ids = tools.ids
        self.trunks = tools.trunks
        self.settings = tools.settings
        self.slots = Slots()
        self.calls: dict[str, LiveCall] = {}
        self.watched: Mapping[Line, Watch] = {}
        self.retry_after_s: int | None = None  # while the node drains: no new calls
        self.is_idle = asyncio.Event()
        self.is_idle.set()

    def enter(self, call: LiveCall) -> None:
        """Take a call in."""
        self.calls[call.id] = call
        self.is_idle.clear()

    def leave(self, call: LiveCall) -> None:
        """Let a call go."""
        self.calls.pop(call.id, None)
        if not self.calls:
            self.is_idle.set()

    def again(self, status: int) -> Headers:
        """Return what a refusal says of trying again: while the node drains, when and elsewhere."""
        if status != 503 or self.retry_after_s is None:
            return {}
        return {"Retry-After": [str(self.retry_after_s)]}

    def inbox(self) -> Inbox[Item]:
        return Inbox(self.loop)


class Tools(Struct, frozen=True):
    """The part of a Desk that opens nothing."""

    book: Callable[[], Book]
    metrics: Metrics
    clock: Clock
    ids: Ids
    trunks: Trunks
    settings: Settings = Settings()
