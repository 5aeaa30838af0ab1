"""A call, from the INVITE to the CDR: one coroutine that reads top to bottom.

admit -> media -> hunt -> answer (journalled first) -> talk until the first end. Leaving the blocks
ends the legs still up, closes the media, gives the slots back and writes the CDR, in every path.
"""

from contextlib import AbstractContextManager

from msgspec import structs

from sipcore.call.call import Call
from sipcore.call.caller import CallerLeg
from sipcore.call.dress import offered
from sipcore.call.early import until_acknowledged
from sipcore.call.ending import Ending, failed, refused
from sipcore.call.group import Won
from sipcore.call.held import Held
from sipcore.call.hunt import hunt
from sipcore.call.keep import keep
from sipcore.call.lamp import show
from sipcore.call.part import Part
from sipcore.call.picker import Picker
from sipcore.call.talk import Talk
from sipcore.call.taping import is_recorded, keep_recording
from sipcore.cdr.entry import Answered, Ended
from sipcore.cdr.journal import JournalError
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.media.session import LegStatistics
from sipcore.policy.attempt import Refuse, refuse_permitted
from sipcore.policy.decide import decide

BUG = Ending("node", 500, 41, "internal error")

_log = logger(__name__)


async def bridge(call: Call, counted: AbstractContextManager[None]) -> None:
    """Run a call to its end. Never raises: a bug ends the call, with its CDR.

    `counted`: it is one of its source's calls as long as this block is not left.
    """
    desk = call.desk
    end = BUG
    figures: dict[str, LegStatistics] = {}
    try:
        with counted, Held() as held:
            try:
                end = await _run(call, held)
            finally:
                _end_legs(call, end)
                call.is_over = True
                show(call)
            call.settle()
            if "b" in call.sides or call.given is not None:
                figures = await call.media.finish()
                if call.given is not None:
                    call.given.figures = figures
        if call.draft.record.recording is not None:  # slots and ports are given back by now
            await keep_recording(call)
    except Exception:
        _log.exception("a bug ended call=%s", call.id)
    finally:
        call.settle()
        if end is BUG and call.is_answered:
            end = structs.replace(BUG, status=200)
        try:
            _write(call, end, figures)
        finally:
            call.talking = None  # each would hold the other until a collection
            desk.leave(call)


async def _run(call: Call, held: Held) -> Ending:
    desk = call.desk
    verdict = decide(call.book, call.attempt, desk.slots.load, desk.trunks.not_good())
    call.draft.learn(verdict)
    if call.attempt.is_private and verdict.direction == "outbound":
        _log.info("call=%s asked for privacy, which a call out does not have", call.id)
    if isinstance(verdict, Refuse):
        return refused(verdict)
    call.is_emergency = verdict.is_emergency
    call.permit = verdict
    show(call)
    if not verdict.is_emergency:
        if desk.retry_after_s is not None:
            return failed(503, "the node takes no new calls", q850=42)
        if len(desk.calls) > desk.settings.most_calls:
            return failed(503, "too many calls", q850=42)
        if desk.journal.fault is not None:
            return failed(503, "journal not on disk")
    slot = desk.slots.take(verdict.slots, call.id)
    if slot is None:
        return refused(refuse_permitted(verdict, "concurrency", "all lines in use"))
    held.enter_context(slot)
    call.slots = [slot]
    call.media = held.enter_context(desk.media.session(call.id, call.inbox.feed))
    expiry = call.expire_later() if "Expires" in call.a.invite.headers else None
    offer = await _open_media(call)
    won = offer if isinstance(offer, Ending) else await hunt(call, verdict, offer)
    if expiry is not None:
        expiry.cancel()
    if isinstance(won, Ending):
        return won
    if call.pickup is not None and call.pickup is not won.leg:
        call.pickup.refuse(481)
    held.enter_context(won.slot)
    call.slots.append(won.slot)
    if won.onwards:
        _take_forwards(call, won, held)
    call.held = held
    if (over := await _answer(call, won, is_recorded(call, verdict, won.leg))) is not None:
        return over
    del won, verdict, slot  # a call may last for hours, and it waits here
    call.talking = Talk(call)
    return await call.talking.run()


async def _open_media(call: Call) -> bytes | Ending:
    """Take what the caller offers; return what is offered on."""
    a = call.media.speakers["a"] = call.a
    try:
        if call.is_delayed:
            offer = await call.media.propose("b")
            call.media.face("a", a.source)
        else:
            body = a.invite.body
            if (source := call.attempt.source).kind != "extension":
                profile = call.book.profile(source.kind, source.id)
                body, a.dtmf = offered(profile, body), profile.dtmf
            offer = await call.media.offer("a", body, a.source)
    except BadMessage as fault:
        return failed(400, fault.reason)
    except MediaError as fault:
        _log.warning("call=%s no media: %s", call.id, fault)
        return failed(488 if "relayed" in str(fault) else 503, str(fault), q850=47)
    return offer


async def _answer(call: Call, won: Won, is_recorded: bool) -> Ending | None:
    """Answer the caller once the journal has the answer on disk. Why not, if it comes to that."""
    desk, leg, sdp = call.desk, won.leg, won.sdp
    call.sides["b"] = call.media.speakers["b"] = leg
    if call.media.ringback is not None:
        call.media.ringback = None
    if leg.dialog is not None:
        call.media.choose("b", leg.dialog.remote_tag)
    try:
        if isinstance(leg, Picker) and leg.awaits_ack:
            told = leg.told
            call.media.await_answer("b")
        elif call.a.is_agreed:
            told = b""
            call.media.learn("b", sdp, leg.source)
        else:
            told = call.media.answer("b", sdp, leg.source)
    except (BadMessage, MediaError) as fault:
        return failed(488, f"{leg.who} answered with an SDP that cannot be used: {fault}")
    if call.a.owes_prack and (over := await until_acknowledged(call)) is not None:
        return over
    call.note_answer()
    cdr, legs = call.draft.answer(is_recorded), (keep(call.a), keep(leg))
    desk.journal.append(Answered(cdr, legs, call.media.rows()))
    for one in call.parts[1:]:
        desk.journal.append(Answered(one.draft.answer(), media_call=call.id))
    try:
        await desk.journal.sync()
    except JournalError as fault:
        _log.error("call=%s the journal is not on disk: %s", call.id, fault)
        if not (call.is_emergency or any(one.is_emergency for one in won.onwards)):
            _unanswer(call)
            return failed(503, "journal not on disk")
    if (gave_up := call.gave_up()) is not None:
        _unanswer(call)
        return gave_up
    if leg.is_over:
        _unanswer(call)
        return failed(480, "picked up and gave up", "callee", q850=16)
    call.a.awaits_ack = bool(told) and call.is_delayed
    call.a.answer(told)
    if isinstance(leg, Picker):
        leg.confirm()
        call.pickup = None  # a side like any other, which may leave for another call
    if cdr.recording is not None and cdr.answered_at is not None:
        call.media.record(cdr.recording, cdr.answered_at)
    return None


def _take_forwards(call: Call, won: Won, held: Held) -> None:
    """Take the records and slots of the forwards by which the callee was reached."""
    call.parts = [Part(call.draft, won.leg)]
    for onward in won.onwards:
        call.parts.append(Part(onward.draft, won.leg))
        for slot in onward.slots:
            call.slots.append(held.enter_context(slot))


def _unanswer(call: Call) -> None:
    call.draft.unanswer()
    for one in call.parts[1:]:
        one.draft.unanswer()


def _write(call: Call, end: Ending, figures: dict[str, LegStatistics]) -> None:
    """Write the record, or the records of all that the call has become."""
    desk = call.desk
    if not call.parts and call.given is None:
        cdr = call.draft.finish(end, figures)
        desk.journal.append(Ended(cdr))
        desk.metrics.count_call(cdr.direction, end.status)
    for one in call.parts:
        cdr, why = one.finish(call.sides, end, figures)
        desk.journal.append(Ended(cdr))
        desk.metrics.count_call(cdr.direction, why.status)


def _end_legs(call: Call, end: Ending) -> None:
    """End what is still up, by its state: refuse, BYE, or nothing left to do."""
    legs = call.sides.values()
    for leg in legs if call.pickup is None else {*legs, call.pickup}:
        if leg.is_over:
            continue
        try:
            if isinstance(leg, CallerLeg) and not leg.transaction.is_answered:
                status = end.status if end.status >= 300 else 500
                leg.refuse(status, {"Reason": [end.header]} | call.desk.again(status))
            else:
                leg.bye(end.header)
        except Exception:  # the other leg must be ended all the same
            _log.exception("call=%s leg=%s cannot be ended", call.id, leg.side)
