"""A party to a call that knows PRACK, UPDATE and re-INVITE, keeps to RFC 3264 and 6337, and
remembers what is agreed: what it said last, and what it was told."""

import random
from collections.abc import Callable

from sipcore.call.leg import SDP
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Acked, Cancelled, Reply, Told, Unacked, Within
from sipcore.dialog.transaction import Transaction
from sipcore.message.message import Headers, Request, Response
from tests.sim.description import description, direction_of, formats_of
from tests.sim.net import Net, Place
from tests.sim.phone import Phone, Talk

ANSWERS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly"}
TO_BYE = (408, 481)


class Habits:
    """What a party can and does."""

    def __init__(self, dice: random.Random | None = None) -> None:
        dice = dice or random.Random(1)
        self.dice = dice
        self.has_reliable = False
        self.requires_reliable = False
        self.has_update = False
        self.timer_s = 0  # Session-Expires that it asks for
        self.wavers = 0.0  # share of answers that hold the other side
        self.refuses = 0.0  # share of offers within the call that it refuses


class Party(Talk):
    """One side of a call. `agreed` is (what I said, what I was told) of the last agreement."""

    def __init__(self, phone: "PartyPhone", habits: Habits) -> None:
        super().__init__(phone)
        self.habits = habits
        self.agreed: tuple[bytes, bytes] | None = None
        self.offered: bytes | None = None  # mine, not answered
        self.asked: bytes | None = None  # the peer's, not answered
        self.version = 0
        self.early: Dialog | None = None
        self.open_invite: Transaction | None = None  # a re-INVITE of mine
        self.their_invite: Transaction | None = None  # of theirs, till its ACK
        self.offered_in: Transaction | None = None  # a re-INVITE that my 200 gave the offer to
        self.updating: Transaction | None = None
        self.rseq = 0
        self.unpracked = False
        self.waiting: list[tuple[int, bytes]] = []
        self.answer_owed = False
        self.is_caller = False
        self.faults: list[str] = []

    # What I say

    def sdp(self, direction: str | None = None, formats: str | None = None) -> bytes:
        self.version += 1
        dice = self.habits.dice
        return description(
            self.phone.place,
            self.version,
            direction or dice.choice(["sendrecv", "sendrecv", "sendonly", "recvonly"]),
            formats or dice.choice(["8 0 101", "8 101", "8 0"]),
        )

    def answer_to(self, offer: bytes) -> bytes:
        mine = ["8", "0", "101"]
        common = [form for form in mine if form in formats_of(offer)]
        direction = ANSWERS.get(direction_of(offer), "inactive")
        if direction == "sendrecv" and self.habits.dice.random() < self.habits.wavers:
            direction = self.habits.dice.choice(["sendonly", "recvonly"])
        return self.sdp(direction, " ".join(common))

    def headers(self) -> Headers:
        methods = "INVITE, ACK, CANCEL, BYE, INFO, PRACK"
        have: Headers = {"Contact": [self.phone.hop().contact(self.phone.user)]}
        have["Allow"] = [methods + ", UPDATE" if self.habits.has_update else methods]
        tags = ["100rel"] if self.habits.has_reliable else []
        if self.habits.timer_s:
            tags.append("timer")
        if tags:
            have["Supported"] = [", ".join(tags)]
        return have

    @property
    def may_offer(self) -> bool:
        is_free = self.offered is None and self.asked is None and self.open_invite is None
        return is_free and self.agreed is not None

    @property
    def is_up(self) -> bool:
        return self.dialog is not None and self.dialog.is_confirmed and not self.is_over

    def hold_or_so(self, direction: str | None = None, *, is_delayed: bool = False) -> None:
        """Send a re-INVITE."""
        if not (self.is_up and self.may_offer) or self.open_invite or self.their_invite:
            return
        body = b"" if is_delayed else self.sdp(direction)
        self.offered = body or None
        self.open_invite = self.request("INVITE", body, self.headers())

    def update(self, body: bytes | None = None) -> None:
        """Send an UPDATE, in an early dialog or a confirmed one."""
        if self.dialog is None or self.is_over or self.updating or not self.peer_updates:
            return
        if self.unpracked:  # RFC 3311 5.1: my answer must have been acknowledged
            return
        if body is None:
            body = self.sdp() if self.may_offer else b""
        if body:
            self.offered = body
        self.updating = self.request("UPDATE", body, self.headers())

    peer_updates = False

    def cancel_re_invite(self) -> None:
        if self.open_invite is not None:
            self.phone.endpoint.cancel(self.open_invite)

    # What comes

    def feed(self, event: Told) -> None:
        match event:
            case Reply() if event.transaction is self.invite:
                self._reply_to_invite(event)
            case Reply():
                self._reply_within(event)
            case Within():
                self.requests.append(event.request)
                if not self.on_request(self, event):
                    self._request_within(event)
            case Acked():
                self._acked(event)
            case Unacked():
                if event.transaction.is_answered:
                    self.hang_up()
                else:
                    self.phone.endpoint.respond(event.transaction, 504)
                    self._end(504)
            case Cancelled():
                self.phone.endpoint.respond(event.transaction, 487)
                if event.transaction is self.invite:
                    self._end(487)
                else:
                    self._their_invite_is_over()

    def _allowed(self, message: Request | Response) -> None:
        if "Allow" in message.headers:
            self.peer_updates = "UPDATE" in message.headers["Allow"][0]

    def _told(self, sdp: bytes) -> None:
        """Take an answer."""
        if self.offered is not None and sdp:
            self.agreed, self.offered = (self.offered, sdp), None

    def _reply_to_invite(self, event: Reply) -> None:
        response = event.response
        if response.status < 200:
            self.answers.append(response)
            self._allowed(response)
            if event.dialog is not None and self.dialog is None and response.status > 100:
                self.dialog = event.dialog
            if "RSeq" in response.headers and event.dialog is not None:
                self._prack(event.dialog, response)
            return
        if 200 <= response.status < 300 and not self.answered.is_set():
            self._allowed(response)
            if self.offered is None and self.agreed is None:  # a delayed offer
                self._answer_in_ack(event)
                return
            self._told(response.body)
        elif response.status >= 300:
            self.offered = self.asked = None
            if response.status == 401 and self.invite is not None and event.request.body:
                self.offered = event.request.body
        super()._reply(event)
        if self.is_up and self.offered is not None and self.agreed is None:
            self.faults.append("a 200 without an answer")

    def _answer_in_ack(self, event: Reply) -> None:
        assert event.dialog is not None
        self.answers.append(event.response)
        self.status, self.dialog = event.response.status, event.dialog
        if not event.response.body:
            self.faults.append("a 200 without an offer")
        answer = self.answer_to(event.response.body)
        self.agreed = answer, event.response.body
        self.ack(event.response, answer)
        self.answered.set()
        if self.is_over:
            self.is_over = False
            self.hang_up()

    def _prack(self, dialog: Dialog, response: Response) -> None:
        number = int(response.headers["RSeq"][0])
        if number <= self.rseq:
            return
        self.rseq = number
        rack: Headers = {"RAck": [f"{number} {response.cseq.number} INVITE"]}
        body = b""
        if response.body:
            if self.offered is not None:
                self._told(response.body)
            elif self.agreed is None:
                body = self.answer_to(response.body)
                self.agreed = body, response.body
        self.request("PRACK", body, rack | self.headers())

    def _reply_within(self, event: Reply) -> None:
        response, transaction = event.response, event.transaction
        if response.status < 200:
            return
        self.replies.append((transaction.method, response.status))
        is_ok = response.status < 300
        if is_ok and transaction.method in ("INVITE", "UPDATE"):
            self._allowed(response)
        if transaction is self.updating:
            self.updating = None
            if event.request.body:
                self._told(response.body) if is_ok else None
                self.offered = None
        elif transaction is self.open_invite:
            self.open_invite = None
            self._re_invite_answered(response, event.request)
        elif transaction.method == "INVITE" and is_ok and self.dialog is not None:
            self.ack(response)
        if response.status in TO_BYE and transaction.method in ("INVITE", "UPDATE"):
            self.hang_up()

    def _re_invite_answered(self, response: Response, request: Request) -> None:
        if response.status >= 300:
            self.offered = None if request.body else self.offered
            return
        if self.offered is not None:
            self._told(response.body)
            self.ack(response)
            if self.offered is not None:
                self.faults.append("a 200 to a re-INVITE without an answer")
                self.offered = None
            return
        answer = self.answer_to(response.body)
        self.agreed = answer, response.body
        self.ack(response, answer)

    def _request_within(self, event: Within) -> None:
        request, transaction = event.request, event.transaction
        respond = self.phone.endpoint.respond
        if request.method == "BYE":
            respond(transaction, 200)
            self.phone.endpoint.end(event.dialog)
            self._end(self.status or 200)
        elif request.method == "PRACK":
            self._pracked(event)
        elif request.method in ("INVITE", "UPDATE"):
            self._allowed(request)
            self._offer_within(event)
        else:
            respond(transaction, 200)

    def _offer_within(self, event: Within) -> None:
        request, transaction = event.request, event.transaction
        respond, is_invite = self.phone.endpoint.respond, event.request.method == "INVITE"
        is_glare = self.offered is not None or (is_invite and self.open_invite is not None)
        is_early = self.asked is not None or (is_invite and self.their_invite is not None)
        if (is_glare or is_early) and (is_invite or request.body):
            respond(transaction, 491 if is_glare else 500, {"Retry-After": ["1"]})
            return
        if not is_invite and not request.body:
            respond(transaction, 200, self.headers())
            return
        if self.habits.dice.random() < self.habits.refuses:
            respond(transaction, self.habits.dice.choice([488, 500, 486]))
            return
        headers = self.headers() | {"Content-Type": [SDP]}
        if request.body:
            answer = self.answer_to(request.body)
            self.agreed = answer, request.body
        else:
            answer = self.offered = self.sdp()
            self.offered_in = transaction
        if respond(transaction, 200, headers, answer) and is_invite:
            self.their_invite = transaction

    def _their_invite_is_over(self) -> None:
        self.their_invite = None

    def _acked(self, event: Acked) -> None:
        self.acked.set()
        self.their_invite = None
        if event.transaction is self.offered_in:
            self._told(event.request.body)
            self.offered = self.offered_in = None

    # Being called

    def ring(self, status: int = 180, body: bytes = b"", *, is_reliable: bool = False) -> None:
        """Send an 18x, reliably where I can and the caller can."""
        assert self.invite is not None
        if self.is_over or self.invite.is_answered:
            return
        headers = self.headers()
        if body:
            headers["Content-Type"] = [SDP]
        can = "100rel" in self.invite.request.tokens("Supported") and self.habits.has_reliable
        if not (is_reliable and can):
            if not self.unpracked:
                self.phone.endpoint.respond(self.invite, status, headers, body)
            return
        if self.unpracked:
            return
        if body and self.asked is not None:
            self.agreed, self.asked = (body, self.asked), None
        elif body:
            headers.pop("Content-Type")
            body = b""
        self.rseq += 1
        self.unpracked = True
        headers |= {"Require": ["100rel"], "RSeq": [str(self.rseq)]}
        self.phone.endpoint.respond_reliably(self.invite, status, headers, body)

    def _pracked(self, event: Within) -> None:
        said = event.request.headers["RAck"][0].split()
        is_known = self.unpracked and said[0] == str(self.rseq)
        self.phone.endpoint.respond(event.transaction, 200 if is_known else 481)
        if is_known and self.invite is not None:
            self.unpracked = False
            self.phone.endpoint.settle(self.invite)
            if self.answer_owed:
                self.pick_up()

    def pick_up(self, *, with_sdp: bool = True) -> None:
        """Answer, now or after the PRACK."""
        assert self.invite is not None
        if self.is_over or self.invite.is_answered:
            return
        if self.unpracked:
            self.answer_owed = True
            return
        headers = self.headers()
        body = b""
        if self.asked is not None:
            body = self.answer_to(self.asked)
            self.agreed, self.asked = (body, self.asked), None
            headers["Content-Type"] = [SDP]
        if self.phone.endpoint.respond(self.invite, 200, headers, body):
            self.status = 200
            self.their_invite = self.invite
            self.answered.set()


class PartyPhone(Phone):
    """A phone whose calls are Parties. `habits_of` chooses what each one can."""

    def __init__(self, net: Net, place: Place, user: str, password: str = "") -> None:
        super().__init__(net, place, user, password)
        self.habits_of: Callable[[Request], Habits] = lambda request: Habits()

    def begin(
        self,
        number: str,
        habits: Habits,
        *,
        is_delayed: bool = False,
        body: bytes = b"",
        headers: Headers | None = None,
    ) -> Party:
        """Call somebody."""
        party = Party(self, habits)
        party.is_caller = True
        self.calls.append(party)
        mine = party.headers()
        if habits.requires_reliable:
            mine["Require"] = ["100rel"]
        if habits.timer_s:
            mine["Session-Expires"] = [str(habits.timer_s)]
        uri = f"sip:{number}@{self.domain}"
        request = self.new_request("INVITE", uri, mine | (headers or {}))
        if not is_delayed:
            request.body = party.offered = body or party.sdp("sendrecv", "8 0 101")
            request.headers["Content-Type"] = [SDP]
        party.invite = self.endpoint.request(request, self.hop(), party)
        return party

    def new_talk(self, request: Request) -> Party:
        party = Party(self, self.habits_of(request))
        party.asked = request.body or None
        party._allowed(request)
        return party
