"""One transaction: its state, what it keeps to say again, its two timers (RFC 3261 17)."""

from typing import TYPE_CHECKING

from msgspec import Struct

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.tables import (
    ACCEPTED,
    CALLING,
    COMPLETED,
    CONFIRMED,
    INVITE_CLIENT,
    INVITE_SERVER,
    LINGERED,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    PROCEEDING,
    RETRY,
    TERMINATED,
    TIMEOUT,
    TRYING,
    Table,
)
from sipcore.message.echo import Echo
from sipcore.message.flow import Flow
from sipcore.message.message import NO_REQUEST, Request
from sipcore.timers import Timer

if TYPE_CHECKING:
    from sipcore.dialog.events import User
    from sipcore.dialog.machine import Lingering
    from sipcore.dialog.oversize import Detour


class Timing(Struct, frozen=True):
    """RFC 3261 17.1.1.1, table 4; seconds."""

    t1_s: float = 0.5  # round trip
    t2_s: float = 4.0  # longest interval between repeats
    t4_s: float = 5.0  # longest life of a message in the network

    @property
    def timeout_s(self) -> float:
        """Timers B, F, H, J, L, M."""
        return 64 * self.t1_s


class Transaction(Struct, eq=False, gc=False):
    """State of one exchange. `user` is who asked for it, or who was told of it; never called here.

    `request` and `echo` are let go with the final response on the server side: what lingers is
    small. The garbage collector does not look at it: `forget` of its owner, which each one comes
    to, undoes what holds it.
    """

    table: Table
    key: tuple[str, ...]
    request: Request
    flow: Flow
    tag: str  # ours: of To in an answer of ours; empty in a client's
    method: str
    is_invite: bool
    state: str
    kept: bytes = b""
    echo: Echo | None = None  # of a request that came: what its answers repeat
    user: "User | None" = None
    interval_s: float = 0.0
    retry: "Timer[Transaction | Lingering] | None" = None
    deadline: "Timer[Transaction | Lingering] | None" = None  # timeout or end of lingering
    cancelling: str = ""  # "owed" until the first provisional, "sent"; of a server: "sent"
    cancel_reason: str | None = None
    merge_key: tuple[str, ...] | None = None
    ack_key: tuple[str, str, int] | None = None
    detour: "Detour | None" = None  # over TCP, only because the request is large
    dialogs: "tuple[Dialog, ...]" = ()  # those that this INVITE began: one a fork

    @classmethod
    def begun(
        cls, table: Table, key: tuple[str, ...], request: Request, flow: Flow, tag: str = ""
    ) -> "Transaction":
        """Begin one in the first state of its table."""
        is_invite = table is INVITE_CLIENT or table is INVITE_SERVER
        return cls(
            table, key, request, flow, tag, request.method, is_invite, FIRST_STATE[id(table)]
        )

    @property
    def is_client(self) -> bool:
        return self.table is INVITE_CLIENT or self.table is NON_INVITE_CLIENT

    @property
    def is_answered(self) -> bool:
        """True once a final response has come or gone."""
        return self.state in ANSWERED

    def take_due(self) -> str:
        """Tell which of the two timers was due."""
        if self.retry is not None and self.retry.is_over:
            self.retry = None
            return RETRY
        return LINGERED if (self.state, LINGERED) in self.table else TIMEOUT

    def slim(self, status: int) -> None:
        """Let go what a client transaction does not need while it lingers: it does for 32 s.

        An INVITE that was accepted still makes dialogs of other forks' answers.
        """
        if self.is_invite and status < 300:
            self.request.body = self.kept = b""
            self.request.headers = {}  # its marks are enough
        else:
            self.request, self.user = NO_REQUEST, None

    def linger_s(self, timing: Timing) -> float:
        """How long stragglers are waited for in the state just reached; 0 for none."""
        table = self.table
        if self.flow.transport != "udp" and not (table is INVITE_CLIENT and self.state == ACCEPTED):
            return 0.0
        if table is NON_INVITE_CLIENT or table is INVITE_SERVER:  # K, I
            return timing.t4_s
        return timing.timeout_s  # D, J, M

    def __repr__(self) -> str:
        side = "client" if self.is_client else "server"
        return f"<{self.method} {side} {self.state} {self.flow}>"


ANSWERED = frozenset((ACCEPTED, COMPLETED, CONFIRMED, TERMINATED))
FIRST_STATE = {
    id(INVITE_CLIENT): CALLING,
    id(NON_INVITE_CLIENT): TRYING,
    id(INVITE_SERVER): PROCEEDING,
    id(NON_INVITE_SERVER): TRYING,
}
