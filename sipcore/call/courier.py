"""MESSAGE outside a dialog (RFC 3428): from one of a customer's numbers to the devices of another.

Never to a carrier, never to another customer. Nothing is stored: who is not there gets nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from sipcore.call.allowed import carried
from sipcore.call.desk import Desk, Reach
from sipcore.dialog.events import Reply, Told
from sipcore.dialog.transaction import Transaction
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.message.values import quote
from sipcore.policy.attempt import Source
from sipcore.policy.book import Book, Extension
from sipcore.policy.caller_id import inside_caller
from sipcore.policy.routing import extension_of

MOST_BYTES = 1300  # RFC 3428 8: of a whole request, where the path's limit is not known
MOST_WAITING = 500  # at once in the node
MOST_OF_ONE = 50  # of these, of one customer's: devices that are silent keep each for half a minute
PASSED = frozenset({404, 413, 415, 480, 486, 488, 513, 600, 603, 604, 606})


class Courier:
    """One per node."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: Counter[str] = Counter()  # by customer

    def refusal(self, book: Book, request: Request, source: Source, dialled: str) -> int | None:
        """Return the status of a MESSAGE that goes nowhere, None for one to be delivered."""
        if source.kind == "carrier":
            return 403
        if len(request.body) > MOST_BYTES:
            return 413
        if request.body and not request.content_type:
            return 400
        if extension_of(book, source.customer, dialled) is None:
            return 404
        is_full = self._waiting.total() >= MOST_WAITING
        return 503 if is_full or self._waiting[source.customer] >= MOST_OF_ONE else None

    def deliver(
        self, request: Request, flow: Flow, source: Source, asserted: str | None, dialled: str
    ) -> Coroutine[Any, Any, None]:
        """Deliver to all devices of an extension; the first that takes it is enough.

        It is accepted at once: its repeat may come before what is returned has begun.
        """
        transaction = self._desk.endpoint.accept(request, flow)
        return self._answer(transaction, source, asserted, dialled)

    async def _answer(
        self, transaction: Transaction, source: Source, asserted: str | None, dialled: str
    ) -> None:
        self._waiting[source.customer] += 1
        try:
            status = await self._deliver(transaction.request, source, asserted, dialled)
        finally:
            self._waiting[source.customer] -= 1
            if not self._waiting[source.customer]:
                del self._waiting[source.customer]
        self._desk.endpoint.respond(transaction, status)

    async def _deliver(
        self, request: Request, source: Source, asserted: str | None, dialled: str
    ) -> int:
        desk, book = self._desk, self._desk.book()
        extension = extension_of(book, source.customer, dialled)
        if extension is None:
            return 404
        account = book.accounts[source.account]
        own = book.extension(source.customer, source.id) if source.kind == "extension" else None
        shown = inside_caller(book, source, account, own, asserted)
        name = f"{quote(shown.name)} " if shown.name else ""
        ways = desk.contacts.ways_to(extension.customer, extension.number)
        replies = []
        for way in ways:
            sender = f"{name}<{Uri(user=shown.number, host=_host(way))}>"
            reply = _Waiting()
            desk.endpoint.request(self._copy(request, sender, way, extension), way.hop, reply)
            replies.append(reply.status)
        return await _first_of(replies) if replies else 480

    def _copy(self, request: Request, sender: str, way: Reach, called: Extension) -> Request:
        """Write the request for one device: nothing of the sender's but what it says."""
        ids = self._desk.ids
        forwards = request.number("Max-Forwards", 255)
        to = Uri(user=called.number, host=_host(way))
        headers: Headers = {
            "Via": [],
            "Max-Forwards": [str(70 if forwards is None else max(0, forwards - 1))],
            "From": [f"{sender};tag={ids.token()}"],
            "To": [f"<{to}>"],
            "Call-ID": [ids.token(32)],
            "CSeq": ["1 MESSAGE"],
            "P-Asserted-Identity": [sender],
        }
        if way.route:
            headers["Route"] = list(way.route)
        headers |= carried(request)
        return Request("MESSAGE", way.uri, headers, request.body)


class _Waiting:
    """Waits for the final answer of one device."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def feed(self, event: Told) -> None:
        """Take an answer."""
        if isinstance(event, Reply) and event.response.status >= 200 and not self.status.done():
            # No 408 for a request that is no INVITE (RFC 4320 4.2).
            self.status.set_result(480 if event.is_local else event.response.status)


async def _first_of(replies: list[asyncio.Future[int]]) -> int:
    """Return the first 2xx, else the best of what all said."""
    said = []
    for coming in asyncio.as_completed(replies):
        status = await coming
        if status < 300:
            return status
        said.append(status if status in PASSED else 480)
    return min(said)


def _host(way: Reach) -> str:
    return way.hop.sent_by.rpartition(":")[0]
