"""OPTIONS to one peer, again and again: timer and messages. What follows is policy/health's."""

import asyncio
from collections.abc import Callable

from sipcore.call.registering import Start
from sipcore.dialog.events import Reply, Told
from sipcore.dialog.transaction import Transaction
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.message.flow import Hop
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.policy.health import DEAD, Health

_log = logger(__name__)


class Probing:
    """Made by Trunks. `count` is told of every answer, and of every one that did not come."""

    def __init__(
        self,
        who: str,
        uri: str,
        interval_s: float,
        needs: tuple[Endpoint, Ids, Start],
        count: Callable[[bool], None],
    ) -> None:
        self.uri = uri
        self.health = Health(interval_s)
        self._who = who
        self._endpoint, self._ids, self._start = needs
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked: Transaction | None = None
        self._hop: Hop | None = None  # where it went

    def begin(self) -> None:
        """Ask soon, and from then on every interval."""
        self.health.begin(self._loop.time(), self._ids.fraction())
        self._arm()

    def close(self) -> None:
        """Ask no more."""
        self._asked = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def feed(self, event: Told) -> None:
        """Take an answer."""
        if not isinstance(event, Reply) or event.transaction is not self._asked:
            return  # too late: it was counted as none
        if event.response.status >= 200:
            self._answered(event.response.status)

    def _answered(self, status: int) -> None:
        self._asked = None
        was_up = self.health.is_up
        self.health.answered(status, self._loop.time(), self._ids.fraction())
        self._note(was_up, status not in DEAD)
        self._arm()

    def _note(self, was_up: bool, is_alive: bool) -> None:
        self._count(is_alive)
        if self._hop is not None:  # the peer's next place is asked next
            (self._endpoint.answered if is_alive else self._endpoint.failed)(self._hop)
        if self.health.is_up != was_up:
            _log.warning("%s is %s", self._who, "up" if self.health.is_up else "down")

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self.health.next_at, self._due)

    def _due(self) -> None:
        was_up, was_out = self.health.is_up, self._asked is not None
        if self.health.due(self._loop.time(), self._ids.fraction()):
            self._start(self._ask())
        elif was_out:
            self._asked = None
            self._note(was_up, False)
        self._arm()

    async def _ask(self) -> None:
        uri = Uri.parse(self.uri)
        hops = await self._endpoint.hops_to(uri)
        if self._timer is None:
            return
        self._hop = hops[0] if hops else None
        if hops:
            self._asked = self._endpoint.request(self._request(uri, hops[0]), hops[0], self)
        else:
            self._answered(503)

    def _request(self, uri: Uri, hop: Hop) -> Request:
        us = Uri(host=hop.sent_by.rpartition(":")[0])
        headers: Headers = {
            "Via": [],
            "Max-Forwards": ["70"],
            "From": [f"<{us}>;tag={self._ids.token()}"],
            "To": [f"<{Uri(host=uri.host, port=uri.port)}>"],
            "Call-ID": [self._ids.token(32)],
            "CSeq": ["1 OPTIONS"],
            "Contact": [hop.contact()],
            "Accept": ["application/sdp"],
        }
        return Request("OPTIONS", str(uri), headers)
