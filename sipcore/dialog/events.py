"""What the stack gives back when it is polled: bytes to send, and what its user must know."""

from typing import Protocol

from msgspec import Struct

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.transaction import Transaction
from sipcore.message.flow import Flow
from sipcore.message.message import Request, Response


class User(Protocol):
    """Who owns a transaction or a dialog, and is told what becomes of it."""

    def feed(self, event: "Told") -> None:
        """Take note; never wait, never raise."""
        ...


class Send(Struct, gc=False):
    """Bytes for the network. `transaction` is told if a request of ours cannot go. `method`: that
    of CSeq."""

    data: bytes
    flow: Flow
    method: str
    transaction: Transaction | None = None


class Arrival(Struct):
    """A request outside any dialog, new to the stack: accept it, or answer it without state."""

    request: Request
    flow: Flow


class Within(Struct):
    """A request within a dialog; `transaction` waits for the answer."""

    user: User | None
    dialog: Dialog
    transaction: Transaction
    request: Request


class Reply(Struct):
    """A response to a request of ours. `dialog` is what its To tag began or belongs to.

    `is_local`: nobody answered; 408 was made here for silence, 503 for a transport that failed
    (RFC 3261 8.1.3.1).
    """

    user: User | None
    transaction: Transaction
    request: Request
    response: Response
    dialog: Dialog | None = None
    is_local: bool = False


class Acked(Struct):
    """The ACK of our 2xx came; it may carry an SDP answer."""

    user: User | None
    transaction: Transaction
    request: Request


class Unacked(Struct):
    """Our 2xx was never acknowledged: the call must be ended (RFC 3261 13.3.1.4)."""

    user: User | None
    transaction: Transaction


class Cancelled(Struct):
    """CANCEL came for an INVITE that has no final answer yet; its own 200 has gone."""

    user: User | None
    transaction: Transaction
    request: Request


Told = Within | Reply | Acked | Unacked | Cancelled
Event = Arrival | Told
