"""Ringing: the targets of a permit, group after group, all of a group at once; first answer wins.

Carriers are failed over on 5xx, 408, a transport error, or no response at all for some seconds;
never after a 18x. A peer with several places is tried at each of them before that: failover.py.
"""

from sipcore.call import early
from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.credentials import rings_signed
from sipcore.call.deflect import Deflection, deflects
from sipcore.call.dress import as_heard
from sipcore.call.ending import Ending, failed, quoted, refused
from sipcore.call.failover import note_reply, rings_at_next, rings_on
from sipcore.call.group import Caller, Group, Won
from sipcore.call.invite import Way, ways_to
from sipcore.call.leg import Landed, Leg, Picked
from sipcore.dialog.events import Cancelled, Reply, Unacked, Within
from sipcore.dialog.refresh import raised
from sipcore.errors import MediaError
from sipcore.media.control import Lost, Pressed
from sipcore.message.message import Request
from sipcore.message.reason import (
    COMPLETED_ELSEWHERE,
    OF_THE_CALLEE,
    q850_in,
    status_of,
    why_cancelled,
)
from sipcore.policy.attempt import CarrierTarget, Permit, Target, refuse_permitted
from sipcore.policy.concurrency import Slot
from sipcore.policy.profile import USUAL

REMIND_S = 60.0  # RFC 3261 13.3.1.1
OUR_FAULT = frozenset({401, 407})  # a peer wants a password of us: not the caller's business


async def hunt(call: Caller, permit: Permit, offer: bytes) -> Won | Ending:
    """Ring until somebody answers, the caller gives up, or nobody is left."""
    last: Ending | None = None
    for targets in permit.targets:
        slot = _slot_for(call, targets)
        if slot is None:
            continue
        group = Group(targets, slot, permit, offer)
        outcome: Won | Ending | None = None
        call.ringing = group.legs
        began = _begin(call, group)
        try:
            outcome = await _ring(call, group)
        finally:
            call.ringing = ()
            for deflection in group.deflections:
                if not deflection.is_over:
                    await deflection.stop()
            if not isinstance(outcome, Won) or outcome.slot is not slot:
                group.give_up()
                slot.release()
            _end(call, group, began, outcome)
        if isinstance(outcome, Won):
            return outcome
        if not group.is_carrier or not _may_try_next(outcome, group):
            return outcome
        last = outcome
    if last is None or last.is_no_answer:
        text = "no carrier has a channel free"
        if last is not None:
            text = last.reason if not last.is_quoted else f"{last.status} from the last carrier"
        return refused(refuse_permitted(permit, "carriers", text))
    return last


def _slot_for(call: Caller, targets: tuple[Target, ...]) -> Slot | None:
    """Take a carrier's channel; other targets need none beyond the permit's."""
    first = targets[0]
    wants = first.slots if isinstance(first, CarrierTarget) else ()
    return call.desk.slots.take(wants, call.id)


def _may_try_next(end: Ending, group: Group) -> bool:
    if group.has_rung or group.is_last or end.by == "caller":
        return False
    return end.is_no_answer


def _begin(call: Caller, group: Group) -> tuple[float, bool]:
    """Return when a group is tried, and whether that is a trial of its carrier."""
    is_trial = group.carrier is not None and call.desk.trunks.begin(group.carrier)
    return call.desk.loop.time(), is_trial


def _end(
    call: Caller, group: Group, began: tuple[float, bool], outcome: Won | Ending | None
) -> None:
    """Tell of a carrier what became of the call."""
    if group.carrier is None:
        return
    at, is_trial = began
    setup_s = (group.rung_at or call.desk.loop.time()) - at
    call.desk.trunks.end(group.carrier, group.result(outcome), setup_s, is_trial=is_trial)


async def _ring(call: Caller, group: Group) -> Won | Ending:
    for target in group.targets:
        call.draft.try_target(target)
        for way in await ways_to(call, target):
            try:
                group.ring(call, way, target)
            except MediaError as fault:
                group.is_ours = True
                group.refusals.append(failed(503, f"{way.who}: {fault}", q850=88))
    if not group.legs:
        return _nowhere(group)
    desk = call.desk
    settings = desk.settings
    now = desk.loop.time()
    ring_until = now + (settings.outside_ring_s if group.is_carrier else settings.ring_s)
    is_hurried = group.is_carrier or group.has_other_places
    heard_until = now + settings.carrier_silence_s if is_hurried else ring_until
    remind_at = now + REMIND_S
    while True:
        is_heard = group.is_heard
        if group.deflections:  # where it was sent to has its own time
            ring_until = max(ring_until, now + settings.outside_ring_s)
        until = ring_until if is_heard else min(heard_until, ring_until)
        item = await call.inbox.next(min(until, remind_at))
        if item is None and desk.loop.time() < until:
            remind_at += REMIND_S
            _remind(call)
            continue
        if item is None:
            if is_heard:
                group.give_up('Q.850;cause=19;text="no answer"')
                return failed(480, "no answer", q850=19)
            if group.is_heard:
                continue  # a 100 came meanwhile: it may ring on
            heard_until = _silence_until(call, group, ring_until)
            if heard_until > desk.loop.time():
                continue
            group.give_up()
            return failed(408, "no answer", q850=102)
        if isinstance(item, tuple):
            leg, event = item
            outcome = _heed(call, group, leg, event)
        else:
            outcome = _heed_node(call, group, item)
        if outcome is not None:
            return outcome


def _remind(call: Caller) -> None:
    """Let proxies on the caller's way know that it rings on: they would give up."""
    if isinstance(call.a, CallerLeg) and call is call.root:
        call.a.remind()


def _nowhere(group: Group) -> Ending:
    """Why there is nobody to ring at."""
    if group.refusals:
        return group.best_refusal()
    if group.is_carrier:
        return failed(503, "carrier has no address")
    return failed(480, "not registered", q850=20)


def _silence_until(call: Caller, group: Group, ring_until: float) -> float:
    """Nobody was heard: say until when that is all right. At other places, if there are any."""
    now = call.desk.loop.time()
    if now < ring_until and rings_on(call, group):
        return now + call.desk.settings.carrier_silence_s
    return now if group.is_carrier else ring_until


def _landed(call: Caller, group: Group, deflection: Deflection) -> Won | Ending | None:
    """A forward was answered, or has failed."""
    outcome = deflection.outcome
    if isinstance(outcome, Won):
        deflection.is_over = True
        group.give_up(COMPLETED_ELSEWHERE)
        outcome.leg.join("b", call, call.notify)
        onwards = (deflection.onward, *outcome.onwards)
        return Won(outcome.leg, outcome.sdp, outcome.slot, onwards)
    if outcome is not None:
        group.refusals.append(outcome)
    if deflection.next() or not group.is_lost:
        return None
    return group.best_refusal()


def _heed_node(call: Caller, group: Group, item: object) -> Won | Ending | None:
    """Act on what comes from the node, its media, or another attempt."""
    if isinstance(item, Ending):
        group.give_up()
        group.is_ours = group.is_last = True
        return item
    if isinstance(item, Lost):
        group.is_ours = group.is_last = True
        return failed(503, "media worker lost", q850=41)
    if isinstance(item, Landed):
        return _landed(call, group, item.deflection)
    if isinstance(item, Picked) and (slot := item.picker.take(call, group)) is not None:
        group.give_up(COMPLETED_ELSEWHERE)
        return Won(item.picker, item.picker.sdp, slot)
    if isinstance(item, Pressed):
        call.root.keys().tell(item, call.desk.loop.time())
    return None  # other media events do not matter before the answer


def _heed(call: Caller, group: Group, leg: Leg, event: object) -> Won | Ending | None:
    """Act on one event of a leg; return the outcome when there is one."""
    if leg is call.a:
        if isinstance(event, Cancelled):
            group.give_up(why_cancelled(event.request))
            return failed(487, "caller gave up", "caller", q850_in(event.request) or 16)
        if isinstance(event, Within):
            return _caller_within(call, group, leg, event)
        if isinstance(event, Unacked):
            group.give_up()
            return failed(504, "no PRACK", q850=102)
        return None
    if isinstance(event, Within):
        early.within(call, leg, event)
        return None
    if not isinstance(event, Reply) or not isinstance(leg, CalleeLeg) or leg.is_over:
        return None
    status = event.response.status
    if event.transaction is not leg.transaction:
        if status >= 200 and (digits := call.root.digits) and digits.owns(event.transaction):
            digits.answered(event)
        return None
    note_reply(call, group, leg, event)
    if status < 200:
        if not group.has_rung:
            group.rung_at = call.desk.loop.time()
        group.has_rung = True
        if (peer := group.ways[leg].peer) is not None and peer.profile is not USUAL:
            as_heard(peer, event.response)
        early.progress(call, leg, event)
        return None
    if status < 300:
        return _won(group, leg, event)
    leg.leave()
    if status == 422 and _asked_for_longer(call, group, leg, event):
        return None
    if rings_signed(call, group, leg, event):
        return None
    if _rings_elsewhere(call, group, leg, event) or rings_at_next(call, group, leg, event):
        return None
    if deflects(call, group, leg, event.response):
        return None
    group.refusals.append(_refusal(leg, event))
    call.show()
    if leg.early:
        early.other_forks(call, leg, group.legs)
    if status >= 600:
        group.give_up()
    return group.best_refusal() if group.is_lost else None


def _caller_within(call: Caller, group: Group, leg: Leg, event: Within) -> Ending | None:
    """A request of the caller in the early dialog: only BYE is for us (RFC 3261 15)."""
    endpoint = call.desk.endpoint
    method = event.request.method
    if method == "BYE":
        endpoint.respond(event.transaction, 200)
        group.give_up(why_cancelled(event.request))
        return failed(487, "caller gave up", "caller", q850_in(event.request) or 16)
    early.within(call, leg, event)
    return None


def _asked_for_longer(call: Caller, group: Group, leg: CalleeLeg, event: Reply) -> bool:
    """Call again, with the session interval that a 422 wants (RFC 4028 7.3); once."""
    request, least_s = event.request, raised(event.response)
    if least_s is None or "Min-SE" in request.headers:
        return False
    headers = dict(request.headers)
    headers["CSeq"] = [f"{request.cseq.number + 1} INVITE"]
    headers["Min-SE"] = [str(least_s)]
    headers["Session-Expires"] = [str(max(least_s, call.desk.settings.refresh.interval_s))]
    again = Request("INVITE", request.uri, headers, request.body)
    if leg.signer is not None:
        leg.signer.sign(again)
    group.send(call, group.ways[leg], leg.party, again).signer = leg.signer
    return True


def _won(group: Group, leg: CalleeLeg, event: Reply) -> Won | None:
    dialog = event.dialog
    if dialog is None:
        leg.cancel()  # a 2xx without a To tag belongs to no dialog and cannot be acknowledged
        group.refusals.append(failed(502, "answer without a tag"))
        return None
    if leg.signer is not None:
        leg.signer.accepted()
    sdp = leg.confirm(dialog, event.response)
    for other in group.legs:
        if other is not leg and not other.is_over:
            other.cancel(COMPLETED_ELSEWHERE)
    return Won(leg, sdp, group.slot)


def _rings_elsewhere(call: Caller, group: Group, leg: CalleeLeg, event: Reply) -> bool:
    """A flow has gone (430, or nothing could be sent): ring over another one of the device."""
    way, status = group.ways[leg], event.response.status
    if way.contact is None or not (status == 430 or (status == 503 and event.is_local)):
        return False
    reach = call.desk.contacts.flow_failed(way.contact)
    if reach is None:
        return False
    again = Way(way.who, reach.uri, reach.hop, way.caller, reach.route, reach.key)
    group.ring(call, again, leg.party)
    return True


def _refusal(leg: CalleeLeg, event: Reply) -> Ending:
    response = event.response
    status = response.status
    if event.is_local:
        return failed(status, "no response" if status == 408 else "cannot be reached")
    if status in OUR_FAULT:
        return failed(503, f"{leg.who} wants credentials")
    if status == 430:
        return failed(480, f"{leg.who} has no flow left", q850=20)
    if status < 400:
        return failed(480, f"{leg.who} redirects", "callee")
    cause = q850_in(response)
    if status >= 500 and cause in OF_THE_CALLEE:  # a carrier's gateway speaks of the callee
        status = status_of(cause)
    return quoted(status, response.reason, cause)
