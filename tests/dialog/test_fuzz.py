"""Two stacks over a net that drops, doubles and reorders: whatever their users do, all ends and
no transaction, dialog or timer is left."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Acked, Arrival, Cancelled, Event, Reply, Send, Unacked, Within
from sipcore.dialog.stack import Stack
from sipcore.dialog.transaction import Transaction
from sipcore.ids import Ids
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request
from sipcore.message.parse import parse, validate

LONGEST_S = 200.0  # above it everything that 64*T1 allows is over, one after the other


class Side:
    """A stack and a user that keeps the rules: it acknowledges, and ends what it began."""

    def __init__(self, name: str, peer: str, transport: str) -> None:
        self.flow = Flow(transport, name, 5060, peer, 5060, int(transport == "tcp"))
        self.hop = Hop(self.flow, f"{name}:5060")
        self.ids = Ids(random.Random(name).randbytes)
        self.stack = Stack(self.ids.token)
        self.wire: list[bytes] = []
        self.calling: list[Transaction] = []
        self.ringing: list[Transaction] = []
        self.asked: list[Transaction] = []
        self.dialogs: list[Dialog] = []
        self.now = 0.0

    def feed(self, event: object) -> None:
        raise AssertionError("the stack tells nobody by itself")

    def receive(self, data: bytes) -> None:
        message = parse(data)
        validate(message)
        self.stack.receive(message, self.flow, self.now)
        self.drain()

    def drain(self) -> None:
        while (out := self.stack.poll()) is not None:
            if isinstance(out, Send):
                self.wire.append(out.data)
            else:
                self._hear(out)

    def _hear(self, event: Event) -> None:
        match event:
            case Arrival(request=request, flow=flow):
                transaction = self.stack.accept(request, flow, self, self.now)
                if request.method == "INVITE":
                    self.dialogs.append(self.stack.open_dialog(transaction))
                    self.ringing.append(transaction)
                else:
                    self.asked.append(transaction)
            case Within(dialog=dialog, transaction=transaction, request=request):
                if request.method == "BYE":
                    self.stack.respond(transaction, 200, self.now)
                    self.stack.end(dialog)
                elif request.method == "INVITE":
                    self.ringing.append(transaction)
                else:
                    self.asked.append(transaction)
            case Reply(transaction=transaction, response=response, dialog=dialog):
                self._replied(transaction, response.status, response.cseq.number, dialog)
            case Cancelled(transaction=transaction):
                self.stack.respond(transaction, 487, self.now)
            case Unacked():
                for dialog in self.dialogs:
                    self.bye(dialog)
            case Acked():
                pass

    def _replied(
        self, transaction: Transaction, status: int, number: int, dialog: Dialog | None
    ) -> None:
        if status < 200 or transaction.method != "INVITE":
            return
        if transaction in self.calling:
            self.calling.remove(transaction)
        if status < 300 and dialog is not None:
            self.stack.ack(dialog, number, self.hop)
            if dialog not in self.dialogs:
                self.dialogs.append(dialog)

    def ask(self, method: str) -> None:
        headers: Headers = {
            "Via": [],
            "Max-Forwards": ["70"],
            "From": [f"<sip:me@{self.flow.local_address}>;tag={self.ids.token(8)}"],
            "To": [f"<sip:you@{self.flow.remote_address}>"],
            "Call-ID": [self.ids.token()],
            "CSeq": [f"1 {method}"],
            "Contact": [self.hop.contact()],
        }
        request = Request(method, f"sip:you@{self.flow.remote_address}", headers)
        transaction = self.stack.request(request, self.hop, self, self.now)
        if method == "INVITE":
            self.calling.append(transaction)
        self.drain()

    def respond(self, transaction: Transaction, status: int) -> None:
        headers: Headers = {"Contact": [self.hop.contact()]}
        self.stack.respond(transaction, status, self.now, headers)
        self.drain()

    def say(self, dialog: Dialog, method: str) -> None:
        if self.stack.dialogs.get(dialog.key) is dialog and dialog.is_confirmed:
            request = dialog.request(method, {"Contact": [self.hop.contact()]})
            transaction = self.stack.request(request, self.hop, self, self.now)
            if method == "INVITE":
                self.calling.append(transaction)
            self.drain()

    def bye(self, dialog: Dialog) -> None:
        self.say(dialog, "BYE")
        self.stack.end(dialog)

    def advance(self, now: float) -> None:
        while (at := self.stack.next_timeout()) is not None and at <= now:
            self.now = max(self.now, at)
            self.stack.handle_timeout(self.now)
            self.drain()
        self.now = now

    def give_up(self) -> None:
        """Answer what is open, cancel what was asked, hang up what was answered."""
        for transaction in self.ringing:
            self.respond(transaction, 500)
        for transaction in self.calling:
            self.stack.cancel(transaction, self.now)
        for dialog in self.dialogs:
            self.bye(dialog)
        self.drain()


class TwoStacks(RuleBasedStateMachine):
    """The net between them is two lists; what is delivered when is up to hypothesis."""

    @initialize(transport=st.sampled_from(["udp", "tcp"]))
    def begin(self, transport: str) -> None:
        self.sides = [
            Side("10.0.0.1", "10.0.0.2", transport),
            Side("10.0.0.2", "10.0.0.1", transport),
        ]

    @rule(who=st.integers(0, 1), method=st.sampled_from(["INVITE", "INVITE", "OPTIONS"]))
    def ask(self, who: int, method: str) -> None:
        self.sides[who].ask(method)

    @rule(
        who=st.integers(0, 1), nth=st.integers(0, 20), status=st.sampled_from([180, 200, 200, 486])
    )
    def answer(self, who: int, nth: int, status: int) -> None:
        side = self.sides[who]
        if side.ringing:
            side.respond(side.ringing[nth % len(side.ringing)], status)

    @rule(who=st.integers(0, 1), status=st.sampled_from([100, 200, 404]))
    def reply(self, who: int, status: int) -> None:
        side = self.sides[who]
        if side.asked:
            side.respond(side.asked[-1], status)

    @rule(who=st.integers(0, 1), nth=st.integers(0, 20))
    def cancel(self, who: int, nth: int) -> None:
        side = self.sides[who]
        if side.calling:
            side.stack.cancel(side.calling[nth % len(side.calling)], side.now, "SIP;cause=487")
            side.drain()

    @rule(
        who=st.integers(0, 1),
        nth=st.integers(0, 20),
        method=st.sampled_from(["BYE", "INVITE", "INFO"]),
    )
    def talk(self, who: int, nth: int, method: str) -> None:
        side = self.sides[who]
        if side.dialogs:
            dialog = side.dialogs[nth % len(side.dialogs)]
            side.bye(dialog) if method == "BYE" else side.say(dialog, method)

    @rule(who=st.integers(0, 1))
    def transport_fails(self, who: int) -> None:
        side = self.sides[who]
        for transaction in side.stack.transactions()[-1:]:
            side.stack.fail(transaction, side.now)
            side.drain()

    @rule(
        who=st.integers(0, 1),
        nth=st.integers(0, 20),
        fate=st.sampled_from(["once", "once", "twice", "lost"]),
    )
    def deliver(self, who: int, nth: int, fate: str) -> None:
        wire, other = self.sides[who].wire, self.sides[1 - who]
        if wire:
            data = wire.pop(nth % len(wire))
            for _ in range({"once": 1, "twice": 2, "lost": 0}[fate]):
                other.receive(data)

    @rule()
    def deliver_all(self) -> None:
        while any(side.wire for side in self.sides):
            for side, other in (self.sides, self.sides[::-1]):
                while side.wire:
                    other.receive(side.wire.pop(0))

    @rule(who=st.integers(0, 1), status=st.sampled_from([180, 200, 200]))
    def call(self, who: int, status: int) -> None:
        """Get further in good weather, so that bad weather meets calls that stand."""
        self.ask(who, "INVITE")
        self.deliver_all()
        self.answer(1 - who, -1, status)
        self.deliver_all()

    @rule(seconds=st.sampled_from([0.1, 0.5, 4.0, 33.0]))
    def wait(self, seconds: float) -> None:
        for side in self.sides:
            side.advance(side.now + seconds)

    @invariant()
    def nobody_has_more_timers_than_two_for_each_transaction(self) -> None:
        for side in getattr(self, "sides", ()):
            assert len(side.stack.timers) <= 2 * side.stack.count()

    def teardown(self) -> None:
        """Both hang up; then nothing is delivered any more."""
        for side in getattr(self, "sides", ()):
            side.give_up()
            side.advance(side.now + LONGEST_S)
            side.give_up()
            side.advance(side.now + LONGEST_S)
            assert side.stack.transactions() == []
            assert len(side.stack.timers) == 0
            assert side.stack.dialogs == {}


TestTwoStacks = TwoStacks.TestCase
TestTwoStacks.settings = settings(
    deadline=None, max_examples=150, stateful_step_count=40, derandomize=True
)
