"""THE SHELL: transports x Stack x loop timer. Bytes leave and the timer is armed here alone.

receive -> parse -> stack -> drain: send, or tell who must know. Nothing that comes over the network
raises out of here.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Arrival, Send, Told, User, Within
from sipcore.dialog.stack import Stack
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage
from sipcore.log import logger
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request, Response
from sipcore.message.parse import parse, validate
from sipcore.message.uri import Uri
from sipcore.metrics import Metrics
from sipcore.timers import NEVER
from sipcore.transport.base import Transport, ignore
from sipcore.transport.detours import TcpDetours
from sipcore.transport.order import Place
from sipcore.transport.resolve import Resolver
from sipcore.transport.stream import StreamTransport
from sipcore.transport.ways import Ways

_log = logger(__name__)

OnArrival = Callable[[Request, Flow], None]
Batch = Sequence[tuple[bytes, Flow]]
Sift = Callable[[Batch], Batch]

_STATUSES = {f"SIP/2.0 {status}".encode(): status for status in range(100, 700)}  # that we write


class Endpoint:
    """One per node. `on_arrival` is given every request that belongs to nothing yet.

    `sift` returns what of a batch is to be read at all.
    """

    def __init__(self, stack: Stack, ways: Ways | Resolver, metrics: Metrics) -> None:
        self._loop = asyncio.get_running_loop()
        self._stack = stack
        self._metrics = metrics
        self._counts = metrics.messages
        self.ways = Ways(ways) if isinstance(ways, Resolver) else ways
        self.detours = stack.oversize.detours = TcpDetours(self.ways, self._loop.time)
        self.hop_at_once = self.ways.hop_at_once
        self.hop_by = self.ways.hop_by
        self._owner_of = self.ways.owner_of
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._timers = stack.timers
        self._leaving, self._events = stack.leaving, stack.events
        self._is_telling = False
        self._is_flush_due = False
        self.on_arrival: OnArrival = lambda request, flow: None
        self.sift: Sift | None = None

    def add(self, transport: Transport, advertise: str | None = None) -> None:
        """Take a listening address in. `advertise` is the name that outsiders are told instead."""
        self.ways.add(transport, advertise)

    def close(self) -> None:
        """Close all transports and stop the timer."""
        self.flush()
        self._timers.clear()
        self.ways.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, NEVER

    # In

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message from a transport."""
        self.receive_all([(data, flow)])

    def receive_all(self, batch: Batch) -> None:
        """Take whole messages in their order. All are parsed first: done in a row, with warm
        caches, that costs half; acting on one must be over before the next is acted on."""
        if self.sift is not None:
            batch = self._sift(batch, self.sift)
        for message, flow in [(self._read(data, flow), flow) for data, flow in batch]:
            if message is not None:
                self._take(message, flow)
        self.drain()

    def _sift(self, batch: Batch, sift: Sift) -> Batch:
        """Return what of a batch is to be read. What meets a bug is dropped, it alone."""
        try:
            return sift(batch)
        except Exception:
            if len(batch) == 1:
                self._bug(f"a message from={batch[0][1]}")
                return ()
        return [item for one in batch for item in self._sift((one,), sift)]

    def _read(self, data: bytes, flow: Flow) -> Request | Response | None:
        """Return a valid message; a broken one is refused here, what needs nothing is dropped."""
        if data[:4] == b"ACK " and self._stack.is_needless(data):
            self._metrics.count_message("in", "ACK")
            return None
        try:
            message = parse(data)
        except BadMessage as fault:
            self._metrics.count_bad_message("unreadable")
            _log.debug("from=%s unreadable: %s", flow, fault)
            return None
        try:
            validate(message)
        except BadMessage as fault:
            self._refuse(message, flow, fault)
        except Exception:
            self._bug(f"a message from={flow}")
        else:
            return message
        return None

    def _take(self, message: Request | Response, flow: Flow) -> None:
        try:
            if isinstance(message, Request):
                key = "in", message.method, 0
            else:
                key = "in", message.marks.method, message.status
            try:
                self._counts[key].value += 1
            except KeyError:
                self._metrics.count_message(*key)
            self._stack.receive(message, flow, self._loop.time())
            if self._events:
                self._tell_all()
        except BadMessage as fault:
            self._refuse(message, flow, fault)
        except Exception:
            self._bug(f"a message from={flow}")

    def _refuse(self, message: Request | Response, flow: Flow, fault: BadMessage) -> None:
        """Answer a broken request once, if its Via can be read; a broken response not at all."""
        self._metrics.count_bad_message("broken")
        _log.debug("from=%s broken: %s", flow, fault)
        if not isinstance(message, Request) or message.method == "ACK":
            return
        try:
            self._stack.refuse_broken(message, flow, fault.status, fault.reason)
        except (BadMessage, KeyError):
            return
        self.drain()

    # Out

    def accept(self, request: Request, flow: Flow, user: User | None = None) -> Transaction:
        """Open the server transaction of an arrival."""
        return self._stack.accept(request, flow, user, self._loop.time())

    def has(self, key: tuple[str, ...]) -> bool:
        """Tell whether a server transaction lives (RFC 3261 17.2.3): branch, sent-by, method."""
        return self._stack.has_server(key)

    def is_reply(self, data: bytes) -> bool:
        """Tell whether a response names a branch of ours, which nobody else could guess."""
        return self._stack.mark in data

    def send_as_it_is(self, data: bytes, flow: Flow, method: str) -> None:
        """Send a whole message that the stack knows nothing of. `method` is that of its CSeq."""
        self._leaving.append(Send(data, flow, method))
        self.drain()

    def open_dialog(self, transaction: Transaction) -> Dialog:
        """Begin the dialog of an accepted INVITE."""
        return self._stack.open_dialog(transaction)

    def respond(
        self,
        transaction: Transaction,
        status: int,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> bool:
        """Send a response; False where a final one went before."""
        is_sent = self._stack.respond(transaction, status, self._loop.time(), headers, body)
        self.drain()
        return is_sent

    def respond_reliably(
        self, transaction: Transaction, status: int, headers: Headers, body: bytes
    ) -> None:
        """Send an 18x that is repeated until its PRACK (RFC 3262)."""
        now = self._loop.time()
        self._stack.respond(transaction, status, now, headers, body, is_reliable=True)
        self.drain()

    def settle(self, transaction: Transaction) -> None:
        """Repeat a reliable 18x no more."""
        self._stack.settle(transaction, self._loop.time())

    @property
    def now(self) -> float:
        """Loop time in seconds."""
        return self._loop.time()

    def reply_statelessly(
        self, request: Request, flow: Flow, status: int, headers: Headers | None = None
    ) -> None:
        """Answer an arrival without keeping anything."""
        self._stack.reply_statelessly(request, flow, status, headers)
        self.drain()

    def request(self, request: Request, hop: Hop, user: User | None) -> Transaction:
        """Send a request; the replies are fed to `user`."""
        transaction = self._stack.request(request, hop, user, self._loop.time())
        self.drain()
        return transaction

    def ack(
        self,
        dialog: Dialog,
        number: int,
        hop: Hop,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """Acknowledge a 2xx."""
        self._stack.ack(dialog, number, hop, headers, body)
        self.drain()

    def cancel(self, transaction: Transaction, reason: str | None = None) -> None:
        """Cancel an INVITE of ours."""
        self._stack.cancel(transaction, self._loop.time(), reason)
        self.drain()

    def restore(self, dialog: Dialog, user: User) -> None:
        """Take in a dialog that a dead process had: what comes in it is fed to `user`."""
        self._stack.dialogs.restore(dialog, user)

    def end(self, dialog: Dialog) -> None:
        """Forget a dialog."""
        self._stack.end(dialog)

    def user_of(self, call_id: str, tags: tuple[str, str]) -> User | None:
        """Return whose dialog it is that has this Call-ID, our tag and the peer's."""
        dialog = self._stack.dialogs.get(tags)
        return dialog.user if dialog is not None and dialog.call_id == call_id else None

    # Where

    async def hops_to(self, uri: Uri) -> list[Hop]:
        """Return the ways to a URI in the order to try them (RFC 3263); none where its name leads
        nowhere."""
        return await self.ways.hops_to(uri)

    async def hop_to(self, uri: Uri) -> Hop | None:
        """Return the first way to a URI; None where its name leads nowhere."""
        hops = await self.ways.hops_to(uri)
        return hops[0] if hops else None

    def failed(self, hop: Hop, least_s: float = 0.0) -> None:
        """Try a place last for a while: it did not answer, or asked for a pause of `least_s`."""
        self.ways.resolver.failed(place_of(hop.flow), least_s)

    def answered(self, hop: Hop) -> None:
        """Take note that a place lives."""
        if avoided := self.ways.resolver.avoided:
            avoided.answered(place_of(hop.flow))

    def is_avoided(self, hop: Hop) -> bool:
        """Tell whether a place failed of late."""
        avoided = self.ways.resolver.avoided
        return avoided.is_avoided(place_of(hop.flow), self._loop.time())

    def vouch(self, flow: Flow) -> None:
        """Let the connection of a flow stay: it carries a registration, or a peer's calls."""
        if flow.connection and isinstance(one := self._owner_of(flow), StreamTransport):
            one.vouch(flow.connection)

    def names_of(self, flow: Flow) -> tuple[str, ...]:
        """Return the domains that a flow's peer has proven by a TLS certificate (RFC 5922)."""
        if flow.connection and isinstance(one := self._owner_of(flow), StreamTransport):
            return one.names_of(flow.connection)
        return ()

    def is_dead(self, flow: Flow) -> bool:
        """Tell whether the connection of a flow is gone for ever."""
        one = self._owner_of(flow)
        return not (isinstance(one, StreamTransport) and one.is_open(flow))

    def transports(self) -> list[Transport]:
        """Return every listening address."""
        return self.ways.transports()

    # The drain

    def drain(self) -> None:
        """Tell all that the stack holds, have what leaves sent soon, and arm the timer."""
        if self._is_telling:  # who tells does it
            return
        if self._events:
            self._tell_all()
        if self._leaving and not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self.flush)
        at = self._timers.earliest_at
        if at < self._timer_at:  # be woken when the stack's earliest deadline is due
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._timeout)

    def _tell_all(self) -> None:
        """Tell all that the stack holds, what comes of it included."""
        self._is_telling = True
        events = self._events
        try:
            while events:
                event = events.popleft()
                if isinstance(event, Arrival):
                    self._arrive(event)
                else:
                    self._tell(event)
        finally:
            self._is_telling = False

    def flush(self) -> None:
        """Send what has gathered while the loop ran what was ready: in a row it costs less."""
        self._is_flush_due = False
        leaving = self._leaving[:]
        self._leaving.clear()
        for out in leaving:
            try:
                self._send(out)
            except Exception:
                self._bug(f"what leaves to={out.flow}")

    def _send(self, out: Send) -> None:
        flow, transaction = out.flow, out.transaction
        transport = self._owner_of(flow)
        if transport is None:  # it came to an address that we no longer listen on
            transport = self.ways.transport_to(place_of(flow))
            if transport is None:
                return
        lost = ignore if transaction is None else partial(self._lost, transaction, flow)
        transport.send(out.data, flow, lost)
        status = _STATUSES.get(out.data[:11], 0)
        try:
            self._counts["out", out.method, status].value += 1
        except KeyError:
            self._metrics.count_message("out", out.method, status)

    def _lost(self, transaction: Transaction, flow: Flow) -> None:
        if transaction.flow is not flow:  # it has gone another way since
            return
        self._stack.fail(transaction, self._loop.time())
        self.drain()

    def _arrive(self, arrival: Arrival) -> None:
        request, flow = arrival.request, arrival.flow
        try:
            self.on_arrival(request, flow)
        except BadMessage as fault:
            self._refuse(request, flow, fault)
        except Exception:
            self._bug(f"{request.method} from={flow}")
            self._stack.reply_statelessly(request, flow, 500)

    def _tell(self, event: Told) -> None:
        user = event.user
        if user is None:
            if isinstance(event, Within):
                self._stack.respond(event.transaction, 481, self._loop.time())
            return
        try:
            user.feed(event)
        except Exception:
            self._bug(f"an event of {event.transaction!r}")

    def _bug(self, met: str) -> None:
        _log.exception("a bug met %s", met)
        self._metrics.count_bad_message("bug")

    def _timeout(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self._stack.handle_timeout(self._loop.time())
        self.drain()


def place_of(flow: Flow) -> Place:
    """Return where a flow leads."""
    return Place(flow.transport, flow.remote_address, flow.remote_port, flow.domain)
