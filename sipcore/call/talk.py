"""An answered call until its first end: either side, silence, the node.

What the sides say to each other in their dialogs is carried across (INVITE, UPDATE, INFO, MESSAGE)
or answered here.
"""

from typing import TYPE_CHECKING

from sipcore.call.allowed import CARRIED, carried
from sipcore.call.caller import CallerLeg
from sipcore.call.digits import press
from sipcore.call.early import refuses_extension
from sipcore.call.ending import Ending, hung_up
from sipcore.call.exchange import OVER, Exchange, passable
from sipcore.call.keep import has_moved, keep
from sipcore.call.leg import SDP, Deed, Item, Leg
from sipcore.call.referral import refer
from sipcore.call.report import Report
from sipcore.call.transfer import Transfer
from sipcore.call.upkeep import Upkeep
from sipcore.cdr.entry import Moved
from sipcore.dialog.events import Acked, Cancelled, Reply, Told, Unacked, Within
from sipcore.dialog.negotiation import FAIL, OFFERED, RECEIVE_ANSWER
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.media.agreement import other_than
from sipcore.media.control import Lost, Pressed, Silent
from sipcore.message.keys import tells_key
from sipcore.message.message import Headers
from sipcore.message.refer import wants_no_reports

if TYPE_CHECKING:
    from sipcore.call.call import Call

MOST_CARRIED = 32  # open at once in one call
SILENCE_SLACK_S = 2.0  # the worker looks once a second

_log = logger(__name__)


class Talk:
    """What is open between the two sides."""

    spared: Leg | None = None  # of another call's transfer: it may hang up
    is_over = False
    _doubted: Leg | None = None
    _ask_at: float | None = None  # when the doubted leg is asked
    _transfer: Transfer | None = None

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._legs = call.sides
        self._exchange = Exchange(call.media, call.desk.ids)
        self._upkeep = Upkeep(call.media, call.desk.ids, self._legs)
        if call.a.has_spoken_early:
            self._upkeep.look(call.desk.loop.time())
        if call.digits is not None:
            call.digits.go_on()
        self._carried: dict[Transaction, tuple[Transaction, Leg]] = {}  # and who is asked
        self._probes: dict[Transaction, float] = {}  # OPTIONS, and when its leg was last heard
        self._silent: dict[str, tuple[float, float]] = {}  # side: found silent at, last heard at
        now = call.desk.loop.time()
        self._heard_at = {"a": now, "b": now}

    async def run(self) -> Ending:
        """Return how the call ended; the legs that are still up are the caller's business."""
        inbox = self._call.inbox
        try:
            while True:
                item = await inbox.next(self._next_at())
                if isinstance(item, tuple):
                    end = await self._heed_leg(*item)
                else:
                    end = await (self._act() if item is None else self._heed(item))
                if end is not None:
                    return end
        finally:
            self.is_over = True
            self._exchange.abort()
            self._upkeep.close()
            for asked, _ in self._carried.values():  # RFC 3261 15.1.2
                self._call.desk.endpoint.respond(asked, 487)
            if self._transfer is not None:
                await self._transfer.stop()

    def look(self) -> None:
        """Tell a side, as soon as that may be, what the other has changed without it.

        Whoever has asked something of one who was transferred away is answered.
        """
        self._upkeep.look(self._call.desk.loop.time())
        for passed, (asked, leg) in list(self._carried.items()):
            if leg.is_over:
                del self._carried[passed]
                self._call.desk.endpoint.respond(asked, 480)

    @property
    def is_free(self) -> bool:
        """True when nothing is open between the two sides."""
        return self._is_settled and not self._upkeep.is_open

    @property
    def _is_settled(self) -> bool:
        """False while a side has asked something, or owes the answer to what our 2xx offered."""
        return not self._exchange.is_open and not any(
            leg.awaits_ack and not leg.is_over for leg in self._legs.values()
        )

    @property
    def has_transfer(self) -> bool:
        """True while one of the two is being transferred."""
        return self._transfer is not None and not self._transfer.is_over

    def begin(self, transfer: Transfer) -> None:
        """Take note of a transfer that did not come by a REFER."""
        self._transfer = transfer

    def _next_at(self) -> float | None:
        """Return when `_act` is to be called, if nothing comes before."""
        at, ask_at, give_up_at = self._upkeep.next_at, self._ask_at, self._exchange.give_up_at
        if ask_at is not None and (at is None or ask_at < at):
            at = ask_at
        if give_up_at is not None and (at is None or give_up_at < at):
            at = give_up_at
        return at

    async def _act(self) -> Ending | None:
        """Do what is due by now."""
        now = self._call.desk.loop.time()
        if self._ask_at is not None and self._ask_at <= now:
            self._ask()
        if (at := self._exchange.give_up_at) is not None and at <= now:
            self._exchange.give_up()
        is_free = self._is_settled and not self.has_transfer and self.spared is None
        leg = self._upkeep.act(now, is_free=is_free)
        if leg is None:
            return None
        heard_at = await self._proof_of(leg)
        return self._inferred(f"{leg.side} leg: its session was not refreshed", heard_at)

    async def _heed(self, item: Item) -> Ending | None:
        """Act on one item of the inbox that is not a leg's."""
        match item:
            case Ending():
                return item
            case Silent():
                return self._doubt(item)
            case Pressed():
                self._call.keys().tell(item, self._call.desk.loop.time())
            case Lost():
                return Ending("node", 200, 41, "media worker lost")
            case Deed(act):
                return await act()
        return None

    async def _heed_leg(self, leg: Leg, event: Told) -> Ending | None:
        if leg.is_over:  # it lost the race, and what it says was queued behind the winner
            leg.feed(event)
            return None
        if leg is not self._legs.get(leg.side):
            self._call.heed_newcomer(leg, event)
            return None
        is_silence = isinstance(event, Unacked) or (isinstance(event, Reply) and event.is_local)
        if not is_silence:
            self._heard_at[leg.side] = self._call.desk.loop.time()
            if has_moved(leg):
                self._call.desk.journal.append(Moved(self._call.record_of(leg), keep(leg)))
        match event:
            case Within():
                return await self._within(leg, event)
            case Reply():
                return await self._reply(leg, event)
            case Acked():
                self._acked(leg, event)
            case Unacked():
                heard_at = await self._proof_of(leg)
                leg.bye()
                return self._inferred(f"no ACK from {leg.side}", heard_at)
            case Cancelled() if self._exchange.owns(event.transaction):
                self._exchange.cancel()
        return None

    async def _within(self, leg: Leg, event: Within) -> Ending | None:
        endpoint = self._call.desk.endpoint
        method = event.request.method
        is_offer = method == "INVITE" or (method == "UPDATE" and bool(event.request.body))
        if method == "BYE":
            endpoint.respond(event.transaction, 200)
            leg.close()
            if self._spares(leg):
                self._exchange.leave(leg)
                self._upkeep.leave(leg)
                if self._transfer is not None:
                    self._transfer.listen()
                return None
            return hung_up("caller" if leg.side == "a" else "callee", event.request)
        if "Require" in event.request.headers and refuses_extension(leg, event):
            return None
        if method == "REFER":
            self._refer(leg, event)
        elif method == "SUBSCRIBE":
            self._renew_report(leg, event)
        elif self._other(leg).is_over and (is_offer or method in CARRIED):
            endpoint.respond(event.transaction, 491 if is_offer else 480)
        elif is_offer:
            await self._exchange.begin(leg, self._other(leg), event)
        elif method == "UPDATE":
            if not leg.refuses_timer(event):
                leg.learn(event.request)
                leg.accept(event.transaction)
        elif event.transaction.is_answered:  # a PRACK of what was answered meanwhile
            pass
        elif method == "OPTIONS":
            told = {"Allow": [leg.allowed], "Accept": [SDP], "Supported": [leg.supported]}
            endpoint.respond(event.transaction, 200, told)
        elif method in CARRIED:
            if not (method == "INFO" and tells_key(event.request) and self._press(leg, event)):
                self._carry(leg, event)
        else:
            self._call.respond_unknown(leg, event)
        return None

    def _refer(self, leg: Leg, event: Within) -> None:
        status = 491
        if not self.has_transfer and self.spared is None:
            report = Report(leg, event.request)
            transfer = Transfer(self._call, leg, report, lambda: self.is_free)
            status = refer(transfer, event.request)
            if status == 202:
                self._transfer = transfer
        unwanted: Headers = {"Refer-Sub": ["false"]} if wants_no_reports(event.request) else {}
        if status < 300:  # RFC 3515 2.2
            unwanted |= leg.about_us(event.transaction.flow)
        self._call.desk.endpoint.respond(event.transaction, status, unwanted)

    def _renew_report(self, leg: Leg, event: Within) -> None:
        """Take a SUBSCRIBE within the dialog: to what a REFER began, or to nothing that is here."""
        transfer = self._transfer
        report = transfer.report if transfer is not None and leg is transfer.leg else None
        if isinstance(report, Report) and report.renew(event):
            return
        self._call.desk.endpoint.respond(event.transaction, 481)

    def _spares(self, leg: Leg) -> bool:
        """Tell whether the call goes on without a leg that has hung up."""
        return leg is self.spared or (self._transfer is not None and self._transfer.outlives(leg))

    def _press(self, leg: Leg, event: Within) -> bool:
        """Take the key of an INFO; False where it is to go on as INFO."""
        status = press(self._call.media, other_than(leg.side), event)
        if status is None and self._call.keys().repeats(
            leg.side, event, self._call.desk.loop.time()
        ):
            status = 200
        if status is not None:
            self._call.desk.endpoint.respond(event.transaction, status)
        return status is not None

    def _carry(self, leg: Leg, event: Within) -> None:
        if len(self._carried) >= MOST_CARRIED:
            self._call.desk.endpoint.respond(event.transaction, 503)
            return
        request = event.request
        other = self._other(leg)
        passed = other.request(request.method, carried(request), request.body)
        self._carried[passed] = event.transaction, other

    async def _reply(self, leg: Leg, event: Reply) -> Ending | None:
        status = event.response.status
        if self._exchange.owns(event.transaction):
            if await self._exchange.reply(event):
                return None
            return self._gone(leg, f"re-INVITE got {status}", await self._proof_of(leg))
        if status < 200:
            return None
        if self._upkeep.owns(event.transaction):
            if self._upkeep.reply(event, self._call.desk.loop.time()):
                return None
            return self._gone(leg, f"refresh got {status}", await self._proof_of(leg))
        if (heard_at := self._probes.pop(event.transaction, None)) is not None:
            if status in OVER:
                return self._gone(leg, "silent, and OPTIONS got no answer", heard_at)
            return None
        if event.transaction.is_invite and status < 300:
            leg.ack(event.response)  # of a re-INVITE that was given up for a transfer
            return None
        digits = self._call.digits
        if digits is not None and digits.owns(event.transaction):
            digits.answered(event)
            return None
        found = self._carried.pop(event.transaction, None)
        if found is not None and not (event.is_local and status == 408):  # RFC 4320 4.2
            self._call.desk.endpoint.respond(found[0], passable(status, 503))
        return None

    def _acked(self, leg: Leg, event: Acked) -> None:
        call = self._call
        self._exchange.acked(event)
        is_first = isinstance(leg, CallerLeg) and event.transaction is leg.transaction
        if not is_first:
            return
        leg.awaits_ack = False
        if leg.negotiation.state != OFFERED:
            return
        if not event.request.body:
            leg.negotiation.step(FAIL)
            return
        try:
            call.media.learn(leg.side, event.request.body, leg.source)
            leg.negotiation.step(RECEIVE_ANSWER)
            self._upkeep.look(call.desk.loop.time())
        except (BadMessage, MediaError) as fault:
            leg.negotiation.step(FAIL)
            _log.info("call=%s the ACK's SDP cannot be used: %s", call.id, fault)

    def _doubt(self, silent: Silent) -> Ending | None:
        """A side is silent: it will be asked; both are: end without asking."""
        if self._legs[silent.side].is_over:  # it has transferred the other, who waits for somebody
            return None
        desk = self._call.desk
        now = desk.loop.time()
        desk.metrics.silences.inc()
        self._silent[silent.side] = (now, now - silent.silent_s)
        longest_s = desk.settings.silence_s + SILENCE_SLACK_S
        fresh = [
            heard_at for found_at, heard_at in self._silent.values() if now - found_at < longest_s
        ]
        if len(fresh) == 2:
            return self._inferred("both sides silent", max(fresh))
        if self._ask_at is None:  # told again, it is asked no later
            self._doubted = self._legs[silent.side]
            self._ask_at = now + SILENCE_SLACK_S  # the other may be found silent a moment later
        return None

    def _ask(self) -> None:
        """Ask the doubted leg whether it is there."""
        leg, self._doubted, self._ask_at = self._doubted, None, None
        if leg is not None and not leg.is_over:
            self._probes[leg.request("OPTIONS")] = self._silent[leg.side][1]

    async def _proof_of(self, leg: Leg) -> float:
        """Return when a leg was last heard: the answer, a message of it, a packet of it."""
        call = self._call
        heard_at = self._heard_at[leg.side]
        for one in await call.desk.media.survey():
            if (one.call, one.side) == (call.id, leg.side) and one.last_packet_age_s >= 0:
                heard_at = max(heard_at, call.desk.loop.time() - one.last_packet_age_s)
        return heard_at

    def _gone(self, leg: Leg, reason: str, heard_at: float) -> Ending:
        """The peer of a leg is no more, or does not say so: it gets a BYE (RFC 3261 12.2.1.2)."""
        end = self._inferred(f"{leg.side} leg: {reason}", heard_at)
        leg.bye(end.header)
        return end

    def _inferred(self, reason: str, heard_at: float) -> Ending:
        age_s = self._call.desk.loop.time() - heard_at
        return Ending("node", 200, 102, reason, proof_age_s=age_s)

    def _other(self, leg: Leg) -> Leg:
        return self._legs[other_than(leg.side)]
