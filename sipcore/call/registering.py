"""One carrier's registration in the world: its timer, its way there, what was granted.

When and what to ask is dialog/registration's. Holds no password: the registration's signer does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sipcore.dialog.events import Reply, Told
from sipcore.dialog.registration import AGAIN, GONE, GRANTED, LEAVING, REFUSED, SILENT, Registration
from sipcore.endpoint import Endpoint, place_of
from sipcore.log import logger
from sipcore.message.flow import Flow, Hop
from sipcore.message.uri import Uri

Start = Callable[[Coroutine[Any, Any, None]], object]

_RESULTS = {GRANTED: "registered", REFUSED: "refused", SILENT: "unanswered"}

_log = logger(__name__)


class Registering:
    """Made by Trunks. `count` is told how each REGISTER ended, as catalogue.TRUNK_REGISTERED.

    `way`: the carrier's URI, and the line: a parameter of our Contact that tells its calls.
    """

    def __init__(
        self,
        id_: str,
        way: tuple[str, str],
        registration: Registration,
        endpoint: Endpoint,
        run: tuple[Start, Callable[[str], None]],
    ) -> None:
        self.registration = registration
        self._id = id_
        self._uri, self.line = Uri.parse(way[0]), way[1]
        self._endpoint = endpoint
        self._start, self._count = run
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at: Hop | None = None
        self._hop: Hop | None = None  # where it is registered
        self._result = ""
        self._is_closed = False

    @property
    def address(self) -> str | None:
        """Where the registrar is that has granted us something; None: none has."""
        if self._hop is None or not self.registration.is_registered(self._loop.time()):
            return None
        return self._hop.flow.remote_address

    def is_at(self, flow: Flow) -> bool:
        """Tell whether a message came from the very place where we are registered."""
        if self._hop is None:
            return False
        mine = self._hop.flow
        return (mine.transport, mine.remote_port) == (flow.transport, flow.remote_port)

    @property
    def is_gone(self) -> bool:
        return self.registration.state == GONE

    @property
    def is_leaving(self) -> bool:
        return self.registration.state == LEAVING and not self._is_closed

    def begin(self) -> None:
        """Register, soon."""
        self.registration.begin(self._loop.time())
        self._arm()

    def renew(self) -> None:
        """Register anew if we reach the carrier from another address than before."""
        ways, hop = self._endpoint.ways, self._hop
        if hop is not None and ways.hop_at(place_of(hop.flow)) != hop:
            self.registration.renew(self._loop.time())
            self._arm()

    def leave(self) -> None:
        """Unregister."""
        self.registration.leave(self._loop.time())
        self._arm()

    def close(self) -> None:
        """Ask no more. What is registered stays so until it runs out."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def feed(self, event: Told) -> None:
        """Take an answer."""
        if not isinstance(event, Reply) or event.response.status < 200 or self._is_closed:
            return
        registration, response = self.registration, event.response
        registration.answered(response, self._loop.time(), is_local=event.is_local)
        if registration.last == GRANTED:
            self._hop = self._asked_at
        elif registration.last == SILENT and self._asked_at is not None:
            self._endpoint.failed(self._asked_at)
        self._note()
        self._arm()

    def _note(self) -> None:
        """Count what happened, and log it where it is new."""
        registration = self.registration
        if registration.last == AGAIN:
            return
        result = _RESULTS[registration.last]
        if registration.state == GONE:
            result = "removed"
        self._count(result)
        if result != self._result:
            _log.info("carrier=%s registration %s %s", self._id, result, registration.reason)
        self._result = result

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.registration.next_at is not None and not self._is_closed:
            self._timer = self._loop.call_at(self.registration.next_at, self._due)

    def _due(self) -> None:
        self._timer = None
        self._start(self._ask())

    async def _ask(self) -> None:
        """Send the REGISTER that is due, where the last one went unless that failed."""
        hops = await self._endpoint.hops_to(self._uri)
        registration, now = self.registration, self._loop.time()
        if self._is_closed or registration.state == GONE:
            return
        if not hops:
            registration.lost(now)
            self._note()
            self._arm()
            return
        registration.ways = len(hops)
        hop = self._asked_at
        if hop is None or hop not in hops or self._endpoint.is_avoided(hop):
            hop = hops[0]
        contact = f"{hop.contact(registration.terms.user)[:-1]};line={self.line}>"
        request = registration.ask(now, contact)
        if request is None:  # uvloop's timers end up to half a millisecond early
            self._arm()
        else:
            self._asked_at = hop
            self._endpoint.request(request, hop, self)
