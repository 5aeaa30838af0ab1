"""One Stack on a bench: its peer is played by hand, its clock is moved by hand."""

import random
from collections.abc import Iterator

from msgspec import Struct

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Arrival, Event, Reply, Send, Told, Within
from sipcore.dialog.stack import Stack
from sipcore.dialog.transaction import Transaction
from sipcore.ids import Ids
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request, Response, response_to
from sipcore.message.parse import parse, validate

UDP = Flow("udp", "10.0.0.1", 5060, "10.0.0.2", 5060)
TCP = Flow("tcp", "10.0.0.1", 5060, "10.0.0.2", 40000, 7)


class Sent(Struct, frozen=True):
    """What left the stack, and when."""

    at: float
    message: Request | Response
    flow: Flow

    @property
    def label(self) -> str:
        return (
            str(self.message.status) if isinstance(self.message, Response) else self.message.method
        )


class Listener:
    """Who owns transactions and dialogs; the lab collects events, so it does nothing."""

    def feed(self, event: Told) -> None:
        raise AssertionError("the stack tells nobody by itself")


class Lab:
    """`sent` and `told` grow; `labels()` are the methods and statuses sent."""

    def __init__(self, flow: Flow = UDP, seed: int = 1, most: int = 100) -> None:
        self.stack = Stack(Ids(random.Random(seed).randbytes).token, most=most)
        self.flow = flow
        self.now = 0.0
        self.sent: list[Sent] = []
        self.told: list[Event] = []

    # Time and bytes

    def drain(self) -> None:
        while (out := self.stack.poll()) is not None:
            if isinstance(out, Send):
                message = parse(out.data)
                validate(message)
                self.sent.append(Sent(self.now, message, out.flow))
            else:
                self.told.append(out)

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (at := self.stack.next_timeout()) is not None and at <= end:
            self.now = max(self.now, at)
            self.stack.handle_timeout(self.now)
            self.drain()
        self.now = end

    def receive(self, message: Request | Response | bytes, flow: Flow | None = None) -> None:
        """Take a message as bytes, as a transport gives it."""
        data = message if isinstance(message, bytes) else message.to_bytes()
        read = parse(data)
        validate(read)
        self.stack.receive(read, flow or self.flow, self.now)
        self.drain()

    def labels(self) -> list[str]:
        return [one.label for one in self.sent]

    def sent_at(self, label: str) -> list[float]:
        return [one.at for one in self.sent if one.label == label]

    def last(self, label: str) -> Request | Response:
        return next(one.message for one in reversed(self.sent) if one.label == label)

    def request_sent(self, method: str) -> Request:
        found = self.last(method)
        assert isinstance(found, Request)
        return found

    # As a client

    def hop(self) -> Hop:
        return Hop(self.flow, "10.0.0.1:5060")

    def ask(self, method: str, headers: Headers | None = None) -> Transaction:
        """Send a request outside a dialog."""
        have: Headers = {
            "Via": [],
            "Max-Forwards": ["70"],
            "From": ["<sip:us@x>;tag=ours"],
            "To": ["<sip:them@x>"],
            "Call-ID": ["call-1"],
            "CSeq": [f"1 {method}"],
            "Contact": ["<sip:us@10.0.0.1>"],
        }
        request = Request(method, "sip:them@x", {**have, **(headers or {})})
        transaction = self.stack.request(request, self.hop(), Listener(), self.now)
        self.drain()
        return transaction

    def answer(
        self,
        status: int,
        tag: str = "theirs",
        headers: Headers | None = None,
        to: Request | None = None,
    ) -> None:
        """Answer the last request sent that is no ACK."""
        if to is None:
            to = next(
                one.message
                for one in reversed(self.sent)
                if isinstance(one.message, Request) and one.message.method != "ACK"
            )
        response = response_to(to, status, None if status == 100 else tag)
        if status > 100:
            response.headers["Contact"] = [f"<sip:{tag}@10.0.0.2>"]
        response.headers.update(headers or {})
        self.receive(response)

    def cancel(self, transaction: Transaction, reason: str | None = None) -> None:
        self.stack.cancel(transaction, self.now, reason)
        self.drain()

    def fail(self, transaction: Transaction) -> None:
        self.stack.fail(transaction, self.now)
        self.drain()

    def replies(self) -> list[int]:
        return [one.response.status for one in self.told if isinstance(one, Reply)]

    def reply(self) -> Reply:
        found = self.told[-1]
        assert isinstance(found, Reply)
        return found

    # As a server

    def hear(self, method: str, *rows: str, branch: str = "z9hG4bKa") -> None:
        """Take a request of the peer; `rows` take the place of fields of the same name."""
        self.receive(heard(method, *rows, branch=branch, transport=self.flow.transport))

    def accept(self) -> Transaction:
        """Open the transaction of the last arrival."""
        arrival = self.told[-1]
        assert isinstance(arrival, Arrival)
        transaction = self.stack.accept(arrival.request, arrival.flow, Listener(), self.now)
        self.drain()
        return transaction

    def respond(self, transaction: Transaction, status: int) -> bool:
        headers: Headers = {"Contact": ["<sip:us@10.0.0.1>"]}
        said = self.stack.respond(transaction, status, self.now, headers)
        self.drain()
        return said

    def within(self) -> Within:
        found = self.told[-1]
        assert isinstance(found, Within)
        return found

    # Dialogs

    def called(self, record_route: list[str] | None = None) -> Dialog:
        """Call, be answered, acknowledge."""
        self.ask("INVITE")
        self.answer(200, headers={"Record-Route": record_route} if record_route else None)
        dialog = self.reply().dialog
        assert dialog is not None
        self.stack.ack(dialog, 1, self.hop())
        self.drain()
        return dialog

    def was_called(self, *rows: str) -> Dialog:
        """Be called, answer, be acknowledged."""
        self.hear("INVITE", *rows)
        transaction = self.accept()
        dialog = self.stack.open_dialog(transaction)
        self.respond(transaction, 200)
        self.hear("ACK", f"To: <sip:us@x>;tag={transaction.tag}", branch="z9hG4bKack")
        return dialog

    def say(self, dialog: Dialog, method: str) -> Transaction:
        """Send a request within a dialog."""
        transaction = self.stack.request(
            dialog.request(method, {"Contact": ["<sip:us@10.0.0.1>"]}),
            self.hop(),
            Listener(),
            self.now,
        )
        self.drain()
        return transaction

    def leftovers(self) -> tuple[int, int, int]:
        """Count transactions, timers, dialogs."""
        return self.stack.count(), len(self.stack.timers), len(self.stack.dialogs)


def heard(method: str, *rows: str, branch: str = "z9hG4bKa", transport: str = "udp") -> bytes:
    """Write a request of the peer."""
    base = (
        f"Via: SIP/2.0/{transport.upper()} 10.0.0.2;branch={branch}",
        "Max-Forwards: 70",
        "From: <sip:them@x>;tag=theirs",
        "To: <sip:us@x>",
        "Call-ID: call-2",
        f"CSeq: 1 {method}",
        "Contact: <sip:them@10.0.0.2>",
    )
    given = {row.partition(":")[0] for row in rows}
    kept = (row for row in base if row.partition(":")[0] not in given)
    head = "\r\n".join([f"{method} sip:us@x SIP/2.0", *kept, *rows])
    return f"{head}\r\n\r\n".encode()


def doubling(first_s: float = 0.0, t2_s: float = 4.0, until_s: float = 32.0) -> Iterator[float]:
    """Yield the instants of timers E and G: T1, doubled up to T2."""
    at, interval_s = first_s, 0.5
    while at < until_s:
        yield at
        at += interval_s
        interval_s = min(2 * interval_s, t2_s)
