"""Before the answer: 18x of the callee's forks, PRACKs and UPDATEs in early dialogs.

Each leg is its own user agent (RFC 3262, 3311): what is agreed with one is told to the other as
soon as that one may be told, at the latest by upkeep.py after the answer. A caller that was given
SDP plays no ringback of its own: while nothing comes that it could hear, we play it (RFC 3960).
"""

from typing import TYPE_CHECKING

from sipcore.call.callee import CalleeLeg, Early
from sipcore.call.caller import CallerLeg
from sipcore.call.digits import press
from sipcore.call.ending import Ending, failed
from sipcore.call.leg import SDP, Leg
from sipcore.dialog.events import Cancelled, Reply, Unacked, Within
from sipcore.dialog.negotiation import OFFERED, RECEIVE_ANSWER, STABLE
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.media.agreement import other_than
from sipcore.media.control import Lost, Pressed
from sipcore.media.placement import Ringback
from sipcore.message.bodies import unpack
from sipcore.message.keys import tells_key
from sipcore.message.reason import q850_in
from sipcore.policy.attempt import Source

if TYPE_CHECKING:
    from sipcore.call.call import Call
    from sipcore.call.group import Caller

REQUIRED = frozenset(("100rel", "timer", "precondition", "replaces", "norefersub"))
RETRY_AFTER_S = "2"
TOLD = frozenset((180, 181, 182, 183))
PAUSE_MS = 500

# When a caller with early media hears our ringback: at a 180, at a 183 whose RTP does not come.
AT_180 = Ringback("a")
AT_183 = Ringback("a", wait_ms=PAUSE_MS)
# Who rings has given no SDP, and whoever has may have spoken before, and may yet.
BESIDE = Ringback("a", pause_ms=PAUSE_MS)

_log = logger(__name__)


def progress(call: "Caller", leg: CalleeLeg, event: Reply) -> None:
    """Pass ringing and early media of a fork on."""
    response = event.response
    status, told = response.status, b""
    if status not in TOLD:
        if status == 199:  # RFC 6228: nobody has asked for it
            return
        status = 183  # RFC 3261 8.1.3.2
    if response.body and response.content_type == SDP:
        early = _early(leg, event)
        if early is None or early.sdp is response.body:
            told = hear(call, leg, response.body, AT_180 if status == 180 else AT_183)
    elif status == 180 and call.media.has_spoken("b"):
        early = _early(leg, event)
        ring_back(call, AT_180 if early is not None and early.sdp else BESIDE)
    elif status == 180:
        status, told = _rung(call)
    call.ring(status, told)


def _rung(call: "Caller") -> tuple[int, bytes]:
    """Return what a caller is told of a 180 while nobody has described any sound.

    Where its peer has none to let it hear, it gets a 183 with SDP of ours, and our ringback.
    """
    a = call.a
    if not isinstance(a, CallerLeg) or not isinstance(a.party, Source):
        return 180, b""
    kind = a.party.kind
    if kind == "extension" or call.book.profile(kind, a.party.id).ringback == "own":
        return 180, b""
    if a.is_agreed:
        return 183, b""
    try:
        call.media.ringback = AT_180
        return 183, call.media.foretell("a")
    except MediaError as fault:
        _log.info("call=%s hears no ringback of ours: %s", call.id, fault)
        return 180, b""


def _early(leg: CalleeLeg, event: Reply) -> Early | None:
    return leg.early.get(event.dialog.remote_tag) if event.dialog is not None else None


def ring_back(call: "Caller", ringback: Ringback) -> None:
    """Let a caller that has early media hear that it rings; any other hears its own phone."""
    if isinstance(call.a, CallerLeg):
        call.media.ringback = ringback
        call.media.tell()


def hear(call: "Caller", leg: Leg, sdp: bytes, ringback: Ringback = AT_183) -> bytes:
    """Take what a fork says; return what the caller may be told of it in an 18x now.

    `ringback` is what the caller hears while the fork sends nothing.
    """
    a, media = call.a, call.media
    if not isinstance(a, CallerLeg):
        call.overhear(leg, sdp, ringback.wait_ms)
        return b""
    media.ringback = ringback
    media.speakers["b"] = leg
    try:
        if a.is_agreed:
            media.learn("b", sdp, leg.source)
            return b""
        told = media.answer("b", sdp, leg.source)
    except (BadMessage, MediaError) as fault:
        _log.info("call=%s an early SDP cannot be used: %s", call.id, fault)
        return b""
    return b"" if call.is_delayed and not a.is_able_to_prack else told


def other_forks(call: "Caller", lost: CalleeLeg, legs: list[CalleeLeg]) -> None:
    """One that was heard last is gone: the media is that of another one that rings."""
    if not any(early.sdp for early in lost.early.values()):
        return
    for leg in legs:
        for early in leg.early.values():
            if early.sdp and not leg.is_over:
                if told := hear(call, leg, early.sdp):
                    call.ring(183, told)
                return
    if any(not leg.is_over for leg in legs):
        call.overhear(None, b"", 0)
        ring_back(call, BESIDE)


def within(call: "Caller", leg: Leg, event: Within) -> None:
    """Answer a request in an early dialog."""
    method = event.request.method
    if event.transaction.is_answered:  # a PRACK without SDP
        return
    if "Require" in event.request.headers and refuses_extension(leg, event):
        return
    if isinstance(leg, CallerLeg) and method == "PRACK":
        _offer_in_prack(call, leg, event)
    elif method == "UPDATE":
        _update(call, leg, event)
    elif method == "INVITE":  # RFC 3261 14.2: the first one is not answered
        is_theirs = isinstance(leg, CallerLeg)
        wait = {"Retry-After": [RETRY_AFTER_S]} if is_theirs else None
        leg.endpoint.respond(event.transaction, 500 if is_theirs else 491, wait)
    elif method == "INFO" and isinstance(call.a, CallerLeg) and tells_key(event.request):
        if (status := press(call.media, other_than(leg.side), event)) is None:
            call.root.keys().tell_early(other_than(leg.side), event)
        leg.endpoint.respond(event.transaction, 200 if status is None else status)
    else:
        call.respond_early(leg, event)


def refuses_extension(leg: Leg, event: Within) -> bool:
    """Refuse a request that requires what is not understood here (RFC 3261 8.2.2.3)."""
    wanted = [tag for tag in event.request.tokens("Require") if tag not in REQUIRED]
    if wanted:
        unsupported = {"Unsupported": [", ".join(wanted)]}
        leg.endpoint.respond(event.transaction, 420, unsupported)
    return bool(wanted)


def _offer_in_prack(call: "Caller", a: CallerLeg, event: Within) -> None:
    """Take the SDP of a PRACK: the answer to the offer in our 18x, or one more offer (3262 5)."""
    request, endpoint = event.request, a.endpoint
    try:
        if a.negotiation.state == OFFERED:
            call.media.learn("a", request.body, a.source)
            a.negotiation.step(RECEIVE_ANSWER)
            endpoint.respond(event.transaction, 200)
            return
        if a.negotiation.state != STABLE:
            endpoint.respond(event.transaction, 488)
            return
        answer = call.media.answer_here("a", request.body, a.source)
    except BadMessage:
        endpoint.respond(event.transaction, 400)
    except MediaError:
        endpoint.respond(event.transaction, 488)
    else:
        endpoint.respond(event.transaction, 200, {"Content-Type": [SDP]}, answer)


def _update(call: "Caller", leg: Leg, event: Within) -> None:
    """Answer an UPDATE: its offer by what is known of the other side (RFC 3311 5.2)."""
    endpoint, request = leg.endpoint, event.request
    if leg.refuses_timer(event):
        return
    leg.learn(request)
    if request.body and request.content_type != SDP and not unpack(request):
        endpoint.respond(event.transaction, 415, {"Accept": [SDP]})
        return
    if not request.body:
        leg.accept(event.transaction)
        return
    early: Early | None = None
    if isinstance(leg, CalleeLeg):
        early = leg.early.get(event.dialog.remote_tag)
        status = None if early is not None and early.is_agreed else 491
    else:
        status = leg.negotiation.refusal("UPDATE")
    if not isinstance(call.a, CallerLeg):
        status = 500  # what the other side says is not known yet
    if status is not None:
        wait = {"Retry-After": [RETRY_AFTER_S]} if status == 500 else None
        endpoint.respond(event.transaction, status, wait)
        return
    if (answer := answered_here(call, leg, event)) is None:
        return
    leg.accept(event.transaction, answer)
    if early is not None:
        early.sdp, early.is_renewed = request.body, True
        if isinstance(call.a, CallerLeg) and not call.a.is_agreed:
            call.ring(183, hear(call, leg, request.body))


def answered_here(call: "Caller", leg: Leg, event: Within) -> bytes | None:
    """Return the answer to an offer that the other side is not asked; None: it was refused."""
    request, respond = event.request, leg.endpoint.respond
    try:
        fork = event.dialog.remote_tag if isinstance(leg, CalleeLeg) else ""
        return call.media.answer_here(leg.side, request.body, leg.source, fork)
    except BadMessage:
        respond(event.transaction, 400)
    except MediaError:
        respond(event.transaction, 488)
    return None


async def until_acknowledged(call: "Call") -> Ending | None:
    """Wait for the PRACK without which the caller may not be answered (RFC 3262 3).

    Return the ending where the call is over before; None when the answer may go.
    """
    a: CallerLeg = call.a
    until = call.desk.loop.time() + call.desk.settings.ring_s
    while a.owes_prack:
        item = await call.inbox.next(until)
        match item:
            case None:
                return failed(504, "no PRACK", q850=102)
            case Ending():
                return item
            case Lost():
                return failed(503, "media worker lost", q850=41)
            case (Leg() as leg, event) if leg.is_over:
                leg.feed(event)
            case (Leg() as leg, Within() as event):
                if (end := _over_by(call, leg, event)) is not None:
                    return end
            case (Leg() as leg, Cancelled() as event) if leg is a:
                return failed(487, "caller gave up", "caller", q850_in(event.request) or 16)
            case (Leg() as leg, Unacked()) if leg is a:
                return failed(504, "no PRACK", q850=102)
            case Pressed():
                call.keys().tell(item, call.desk.loop.time())
            case (Leg(), Reply() as event) if call.digits and call.digits.owns(event.transaction):
                call.digits.answered(event)
            case _:
                pass
    return None


def _over_by(call: "Call", leg: Leg, event: Within) -> Ending | None:
    """Take a request before the caller has its answer; BYE of either side ends the call."""
    if event.request.method == "BYE":
        leg.endpoint.respond(event.transaction, 200)
        if leg is call.a:
            return failed(487, "caller gave up", "caller", q850_in(event.request) or 16)
        leg.close()
        return failed(480, "callee hung up", "callee", q850_in(event.request) or 16)
    if leg is not call.a and event.request.method in ("INVITE", "UPDATE"):
        wait = {"Retry-After": [RETRY_AFTER_S]}
        leg.endpoint.respond(event.transaction, 500, wait)
    else:
        within(call, leg, event)
    return None
