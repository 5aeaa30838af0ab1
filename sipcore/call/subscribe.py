"""May this SUBSCRIBE be served: its rate, its package, who sends it, what it asks for (RFC 6665).

A refusal is answered without state: a phone that repeats it costs little. 401 has its challenge,
403 and 404 have Retry-After, so that phones that are refused do not ask again at once.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from sipcore.call.lamp import Line
from sipcore.call.packages import Package
from sipcore.call.sign_in import SignIn, Unproven
from sipcore.dialog.subscription import LEAST_EXPIRES_S, granted_s
from sipcore.errors import BadMessage
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.message.values import parse_params
from sipcore.policy.book import Book, Identity
from sipcore.transport.buckets import SharedBucket

BURST_S = 0.5
AGAIN_S = 600  # what was refused may be asked for again then
BUSY_S = 5
MOST_ID = 64  # characters of an Event's id, which every NOTIFY repeats


class Refusal(Struct, frozen=True):
    """No, and why. `result` is for the metric."""

    status: int
    headers: Headers
    result: str = "refused"


class Asked(Struct, frozen=True):
    """A SUBSCRIBE that may be served. `event` is Event as NOTIFYs repeat it, with its id.

    `who` is the customer and user that subscribes, `line` what it watches.
    """

    package: Package
    event: str
    who: Line
    line: Line
    expires_s: int

    @property
    def what(self) -> tuple[Line, str]:
        """Who asks for which event: the same in each refresh. (RFC 6665 4.5.1; the Request-URI of
        a refresh is our Contact.)"""
        return self.who, self.event


def again_in(seconds: int) -> Headers:
    """Return the header that keeps a phone from asking again at once."""
    return {"Retry-After": [str(seconds)]}


class Judge:
    """Judges SUBSCRIBEs. `is_closing` while the node drains."""

    def __init__(
        self,
        book: Callable[[], Book],
        sign_in: SignIn,
        packages: Iterable[Package],
        now: Callable[[], float],
        rate_per_s: int,
    ) -> None:
        self._book = book
        self._sign_in = sign_in
        self._packages: Mapping[str, Package] = {one.name: one for one in packages}
        self._now = now
        self._rate = SharedBucket(rate_per_s, BURST_S)
        self.allow_events = ", ".join(self._packages)

    def judge(self, request: Request, flow: Flow) -> Asked | Refusal:
        """Judge a SUBSCRIBE, the first or a refresh."""
        try:
            if not self._takes(request, flow):
                return Refusal(503, again_in(BUSY_S), "throttled")
            return self._judge(request, flow)
        except BadMessage as fault:
            return Refusal(fault.status, {})

    def _takes(self, request: Request, flow: Flow) -> bool:
        """Take one of the node's SUBSCRIBEs: of who proves his address, else of a part."""
        now, rate, guard = self._now(), self._rate, self._sign_in.guard
        is_known = guard is not None and guard.is_trusted(flow.remote_address, now)
        if rate.takes_unproven(now, is_known=is_known):
            return rate.take(now)
        is_real = self._sign_in.is_real(request, flow)
        return is_real and rate.takes_proven(now, is_known=is_known) and rate.take(now)

    def _judge(self, request: Request, flow: Flow) -> Asked | Refusal:
        package, event = self._event_of(request)
        if package is None:
            return Refusal(489, {"Allow-Events": [self.allow_events]})
        book = self._book()
        domain = request.from_.uri.address
        who = self._sign_in.identify(book, request, flow, domain)
        if isinstance(who, Unproven):
            return Refusal(401, who.headers, "wrong" if who.is_wrong else "challenged")
        guard = self._sign_in.guard
        if guard is not None and not guard.takes_register(flow.remote_address, self._now()):
            return Refusal(503, again_in(BUSY_S), "throttled")
        line = _line_of(book, request, who, package)
        if isinstance(line, Refusal):
            return line
        if (unfit := _unfit(request, package)) is not None:
            return unfit
        expires_s = granted_s(request.number("Expires", (1 << 32) - 1))
        if expires_s is None:
            return Refusal(423, {"Min-Expires": [str(LEAST_EXPIRES_S)]})
        return Asked(package, event, (who.customer, who.user), line, expires_s)

    def _event_of(self, request: Request) -> tuple[Package | None, str]:
        name, semicolon, rest = (request.first("Event") or "").partition(";")
        package = self._packages.get(name.strip().lower())
        if package is None:
            return None, ""
        event_id = parse_params(semicolon + rest).get("id") if semicolon else None
        if event_id and len(event_id) > MOST_ID:
            raise BadMessage("the id of Event is too long")
        return package, f"{package.name};id={event_id}" if event_id else package.name


def _line_of(book: Book, request: Request, who: Identity, package: Package) -> Line | Refusal:
    """Return the extension that is to be watched."""
    uri = Uri.parse(request.uri)
    there = book.customer_at(uri.address)
    number = uri.user or who.id
    is_own = number == who.id
    if who.kind != "extension" or (package.is_private and not is_own):
        return Refusal(403, again_in(AGAIN_S))
    if there is not None and there.id != who.customer:  # whether it is there or not
        return Refusal(403, again_in(AGAIN_S))
    if book.extension(who.customer, number) is None:
        return Refusal(404, again_in(AGAIN_S))
    return who.customer, number


def _unfit(request: Request, package: Package) -> Refusal | None:
    """Judge what a subscription needs to work."""
    contact = request.contact
    if contact is None or contact.uri.scheme not in ("sip", "sips"):
        raise BadMessage("SUBSCRIBE has one Contact")
    request.addresses("Record-Route")
    wanted = {one.partition(";")[0].strip().lower() for one in request.tokens("Accept")}
    if wanted and not wanted & {package.content_type, "application/*", "*/*"}:
        return Refusal(406, {"Accept": [package.content_type]})
    return None
