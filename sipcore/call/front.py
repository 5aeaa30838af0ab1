"""The front desk: what becomes of a request that belongs to nothing yet (RFC 3261 8.2).

Method, scheme, Max-Forwards, Require, body: in that order; then who sent it; then the registrar,
a call, or an answer on the spot.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from sipcore.call.allowed import without
from sipcore.call.bridge import bridge
from sipcore.call.call import Call
from sipcore.call.courier import Courier
from sipcore.call.desk import Desk
from sipcore.call.identity import asserted, number_in, privacy
from sipcore.call.leg import ALLOW, ALLOW_CARRIERS, SDP, SUPPORTED
from sipcore.call.reception import Reception
from sipcore.call.registrar import Registrar
from sipcore.call.sign_in import SignIn, Unproven
from sipcore.call.takeover import take_over
from sipcore.call.watchers import Watchers
from sipcore.call.wish import EXTENSIONS
from sipcore.dialog.refresh import TAG as TIMER
from sipcore.dialog.refresh import is_too_short
from sipcore.dialog.reliable import TAG as RELIABLE
from sipcore.message.bodies import unpack
from sipcore.message.diversion import MOST_FORWARDS, forwards_of
from sipcore.message.flow import Flow
from sipcore.message.headers import METHODS
from sipcore.message.memory import remembered
from sipcore.message.message import Headers, Request
from sipcore.message.reason import write_q850
from sipcore.message.uri import Uri
from sipcore.policy.attempt import Attempt, Source, source_of
from sipcore.policy.book import Book, Carrier, Peer, Trunk
from sipcore.policy.routing import EMERGENCY
from sipcore.transport.buckets import PeersBucket, SharedBucket
from sipcore.transport.guard import Guard

SCANNERS = ("friendly-scanner", "sipvicious", "sipcli", "sip-scan", "sundayddr",
            "iwar", "smap", "vaxsipuseragent", "pplsip")  # fmt: skip
END_S = 3.0  # a call that is told to end takes a journal line and the media's figures
BURST_S = 0.5  # how much of a second's rate may come at once

_NEVER = re.compile(r"(?i);?[ \t]*q[ \t]*=[ \t]*0(?:\.0*)?[ \t]*(?:;|$)")

UNDERSTOOD = {  # option tags that may be required, by method
    "REGISTER": EXTENSIONS,
    "INVITE": frozenset((RELIABLE, TIMER, "precondition", "replaces")),
}

NOBODY = Uri(host="")

Start = Callable[[Coroutine[Any, Any, None]], object]


class Front:
    """One per node. `start` runs a coroutine, owned by the node; a call owns its own."""

    def __init__(
        self,
        desk: Desk,
        registrar: Registrar,
        sign_in: SignIn,
        start: Start,
        rates_per_s: tuple[float, float],
        guard: Guard,
    ) -> None:
        self._desk = desk
        self._sign_in = sign_in
        self._start = start
        self._guard = guard
        self._courier = Courier(desk)
        invites, registers = rates_per_s
        self._invites = PeersBucket(invites, BURST_S)
        rate = SharedBucket(registers, BURST_S)
        self.reception = Reception(desk, registrar, sign_in, rate, guard)
        self.watchers: Watchers | None = None
        self.is_closed = False  # calls are being ended, and none may begin

    def arrive(self, request: Request, flow: Flow) -> None:
        """Take a request. Raises BadMessage where it turns out broken."""
        endpoint = self._desk.endpoint
        if "User-Agent" in request.headers and _is_scanner(request.headers["User-Agent"][0]):
            self._desk.metrics.scanners_dropped.inc()
            now = self._desk.loop.time()
            self._guard.scan(flow.remote_address, now, is_real=flow.is_reliable)
            return
        method = request.method
        if method == "REGISTER" and "Require" not in request.headers and request.uri[:4] == "sip:":
            self.reception.arrive(request, flow)
        elif (refusal := self._inspect(request, flow)) is not None:
            endpoint.reply_statelessly(request, flow, *refusal)
        elif method == "INVITE":
            self._invite(request, flow)
        elif method == "REGISTER":
            self.reception.arrive(request, flow)
        elif method == "OPTIONS":
            self._options(request, flow)
        elif method == "MESSAGE":
            self._message(request, flow)
        else:
            self._subscribe(request, flow)

    def _inspect(self, request: Request, flow: Flow) -> tuple[int, Headers | None] | None:
        """Return status and headers of a refusal that needs no knowledge of who asks."""
        method, headers = request.method, request.headers
        is_invite = method == "INVITE"
        if not is_invite and method not in ("MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE"):
            return self._unwanted(method, flow)
        scheme = Uri.parse(request.uri).scheme
        if scheme != "sip" and scheme != "sips" and not (scheme == "tel" and is_invite):
            return 416, None
        if is_invite and request.number("Max-Forwards", 255) == 0:
            return 483, None
        # Proxy-Require is for proxies, and none is here
        if "Require" in headers and (wanted := self._unknown_tags(request)):
            return 420, {"Unsupported": [", ".join(wanted)]}
        if "Session-Expires" in headers and is_invite:
            rules = self._desk.settings.refresh
            if is_too_short(request, rules):
                return 422, {"Min-SE": [str(rules.least_s)]}
        return _inspect_invite(request) if is_invite else None

    def _unwanted(self, method: str, flow: Flow) -> tuple[int, Headers | None]:
        """Return the refusal of a method that nothing outside a dialog is asked by."""
        if method not in METHODS:
            return 501, {"Allow": [self._allowed(flow)]}
        if method in ("BYE", "INFO", "PRACK", "UPDATE", "NOTIFY"):
            return 481, None  # they live in a dialog, and this one is in none
        return 405, {"Allow": [without(self._allowed(flow), method)]}

    def _unknown_tags(self, request: Request) -> list[str]:
        known = UNDERSTOOD.get(request.method, frozenset())
        if not self._desk.settings.is_reliable:
            known = known - {RELIABLE}
        return [tag for tag in request.tokens("Require") if tag not in known]

    def _options(self, request: Request, flow: Flow) -> None:
        desk = self._desk
        status = 200 if desk.retry_after_s is None else 503
        headers: Headers = {"Allow": [self._allowed(flow)], "Accept": [SDP]}
        if status == 200:
            headers["Supported"] = [SUPPORTED]
        desk.endpoint.reply_statelessly(request, flow, status, headers | desk.again(status))

    def _allowed(self, flow: Flow) -> str:
        """Return what a peer outside any call is told in Allow."""
        peer = self._desk.book().peer(flow.remote_address, flow.remote_port)
        known = peer if isinstance(peer, Carrier) else None
        found = self._desk.trunks.registrations.carrier_at(flow, NOBODY, known)
        return ALLOW if found is None else ALLOW_CARRIERS

    def _subscribe(self, request: Request, flow: Flow) -> None:
        if self._desk.retry_after_s is not None:
            self._desk.endpoint.reply_statelessly(request, flow, 503, self._desk.again(503))
        elif self.watchers is not None:
            self.watchers.arrive(request, flow)

    def _invite(self, request: Request, flow: Flow) -> None:
        desk = self._desk
        if self.is_closed:
            desk.endpoint.reply_statelessly(request, flow, 503, desk.again(503))
            return
        dialled = number_in(Uri.parse(request.uri))
        source = self._source(desk.book(), request, flow)
        if isinstance(source, Unproven):
            self._challenge(request, flow, source)
            return
        desk.endpoint.vouch(flow)
        if source.kind != "extension":
            dialled = _dialled(desk.book(), source, request, dialled)
        if "Accept" in request.headers and not _takes_sdp(request):
            desk.endpoint.reply_statelessly(request, flow, 406, {"Accept": [SDP]})
            return
        now, who = desk.loop.time(), _who(source)
        if not self._takes_call(source, flow, dialled, now):
            desk.metrics.throttled.inc()
            desk.endpoint.reply_statelessly(request, flow, 503, {"Retry-After": ["2"]})
            return
        if "Replaces" in request.headers:
            is_late = desk.retry_after_s is not None
            refusal = (503, desk.again(503)) if is_late else take_over(desk, request, flow, source)
            if refusal is not None:
                desk.endpoint.reply_statelessly(request, flow, *refusal)
            return
        private, critical = privacy(request) if "Privacy" in request.headers else (False, False)
        attempt = Attempt(
            source,
            dialled,
            asserted(request),
            desk.ids.fraction(),
            is_private=private,
            is_critical=critical,
        )
        counted = self._guard.call_of(flow.remote_address, now, who)
        call = Call(desk, request, flow, attempt)
        call.task = desk.loop.create_task(bridge(call, counted))

    def _challenge(self, request: Request, flow: Flow, asker: Unproven) -> None:
        """Ask for a password, anew where the last one was wrong."""
        if asker.is_wrong:
            self._desk.metrics.count_wrong_credentials(request.method)
        self._desk.endpoint.reply_statelessly(request, flow, 401, asker.headers)

    def _message(self, request: Request, flow: Flow) -> None:
        """Deliver a MESSAGE of somebody who has signed in, or of a listed peer."""
        desk, book = self._desk, self._desk.book()
        dialled = number_in(Uri.parse(request.uri))
        source = self._source(book, request, flow)
        if isinstance(source, Unproven):
            self._challenge(request, flow, source)
            return
        desk.endpoint.vouch(flow)
        refusal = self._courier.refusal(book, request, source, dialled)
        if refusal is None and not self._takes(source, flow, desk.loop.time()):
            desk.metrics.throttled.inc()
            refusal = 503
        if refusal is not None:
            headers: Headers | None = {"Retry-After": ["2"]} if refusal == 503 else None
            desk.endpoint.reply_statelessly(request, flow, refusal, headers)
            return
        said = asserted(request)
        self._start(self._courier.deliver(request, flow, source, said, dialled))

    def _takes_call(self, source: Source, flow: Flow, dialled: str, now: float) -> bool:
        """Ask the rate guards for a call; one of emergency has a part of its own."""
        if dialled not in EMERGENCY:
            if self._takes(source, flow, now):
                return True
            if not _is_emergency(self._desk.book(), source, dialled):
                return False
        if source.kind != "extension":
            return True
        return self._guard.takes_emergency(flow.remote_address, now, _who(source))

    def _takes(self, source: Source, flow: Flow, now: float) -> bool:
        """Ask the rate guards: an extension's source has a rate of its own, a peer a part of the
        node's."""
        if source.kind != "extension":
            return self._invites.take(now, (source.kind, source.id))
        if not self._guard.takes_invite(flow.remote_address, now, _who(source)):
            return False
        return self._invites.take(now)

    def _source(self, book: Book, request: Request, flow: Flow) -> Source | Unproven:
        peer = book.peer(flow.remote_address, flow.remote_port)
        if not isinstance(peer, Trunk):
            called = Uri.parse(request.uri)
            peer = self._desk.trunks.registrations.carrier_at(flow, called, peer)
        if peer is None and flow.transport != "udp" and flow.is_secure:
            peer = self._named(book, flow)
        if peer is not None:
            return source_of(peer)
        domain = request.from_.uri.address
        who = self._sign_in.identify(book, request, flow, domain)
        return who if isinstance(who, Unproven) else source_of(who)

    def _named(self, book: Book, flow: Flow) -> Peer | None:
        """Return who has proven a name with a TLS certificate (RFC 5922)."""
        found = map(book.peer_by_name, self._desk.endpoint.names_of(flow))
        return next((one for one in found if one is not None), None)


@remembered
def _is_scanner(agent: str) -> bool:
    agent = agent.lower()
    return any(scanner in agent for scanner in SCANNERS)


def _who(source: Source) -> tuple[str, ...]:
    """Return whom the guard counts calls for; peers have channels."""
    return (source.customer, source.id) if source.kind == "extension" else ()


def _inspect_invite(request: Request) -> tuple[int, Headers | None] | None:
    """A dialog has one Contact (RFC 3261 8.1.1.8; in RFC 2543's days none), and a body to read."""
    contact, headers = request.contact, request.headers
    if contact is None:
        if request.values("Contact"):
            return 400, None
    elif contact.uri.scheme not in ("sip", "sips"):
        return 400, None
    if forwards_of(request) > MOST_FORWARDS:
        return 483, {"Reason": [write_q850(25, "forwarded too often")]}
    if not request.body:
        return None
    if request.first("Content-Type") != SDP and request.content_type not in ("", SDP):
        return None if unpack(request) else (415, {"Accept": [SDP]})
    if "Content-Encoding" in headers and headers["Content-Encoding"][0].lower() != "identity":
        return 415, {"Accept-Encoding": ["identity"]}
    return None


def _takes_sdp(request: Request) -> bool:
    """Tell whether an INVITE's sender takes an SDP; one that names nothing takes nothing (20.1)."""
    for row in request.tokens("Accept"):
        kind, _, params = row.partition(";")
        if kind.strip().lower() in (SDP, "application/*", "*/*"):
            return not _NEVER.search(params)
    return False


def _is_emergency(book: Book, source: Source, dialled: str) -> bool:
    """Tell whether a number is an emergency one, however its peer writes it (+86110)."""
    return source.kind != "carrier" and book.read(dialled, source.kind, source.id) in EMERGENCY


def _dialled(book: Book, source: Source, request: Request, dialled: str) -> str:
    """Return whom a peer's call is for.

    One that comes to the Contact that we registered names us there; then the number dialled stands
    in P-Called-Party-ID (RFC 7315 4.2), else in To. So it is where the peer's profile says so.
    """
    carrier = book.carriers.get(source.id) if source.kind == "carrier" else None
    wish = None if carrier is None else carrier.registration
    place = book.profile(source.kind, source.id).number_in
    if place == "request-uri" and (wish is None or dialled != wish.user):
        return dialled
    called = [] if place == "to" else request.addresses("P-Called-Party-ID")
    said = [number_in(one.uri) for one in (*called, request.to)]
    return next((one for one in said if one), dialled)


async def drain(front: Front, desk: Desk, drain_s: float, retry_after_s: int) -> None:
    """Take no new calls but emergency calls, let all finish for `drain_s`, then end the rest."""
    desk.retry_after_s = retry_after_s
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await desk.is_idle.wait()
    await end_all(front, desk, retry_after_s)


async def end_all(front: Front, desk: Desk, retry_after_s: int) -> None:
    """End every call now: BYE or a refusal to both sides, and its CDR. None begins any more."""
    desk.retry_after_s, front.is_closed = retry_after_s, True
    for call in list(desk.calls.values()):
        call.end_for("the node stops")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await desk.is_idle.wait()
