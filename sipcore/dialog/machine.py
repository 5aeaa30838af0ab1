"""What makes the tables move: one step of one transaction, its timers, what leaves by it."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from sipcore.dialog import tables
from sipcore.dialog.events import Send
from sipcore.dialog.matching import ack_for
from sipcore.dialog.oversize import DETOUR_S, come_back
from sipcore.dialog.tables import (
    ACCEPTED,
    CALLING,
    EXPECT,
    FAIL,
    LINGER,
    LINGERED,
    PROCEEDING,
    REPEAT,
    RESEND,
    RETRY,
    SEND,
    SEND_ACK,
    SETTLE,
    TELL,
    TERMINATED,
    TIMEOUT,
)
from sipcore.dialog.transaction import Timing, Transaction
from sipcore.message.message import Request, Response
from sipcore.timers import COARSE_S, TimerQueue

Heard = Request | Response | bytes | None  # what came, or the response that our user gives
Act = Callable[[Transaction, float, str, Heard], None]

END_TO_END = frozenset((ACCEPTED, PROCEEDING))
SLACK_S = 0.5  # that a transaction may linger longer
DOUBLING = frozenset((CALLING, PROCEEDING))  # without end: timer A, and the repeats of an 18x


class Owner(Protocol):
    """Who keeps the transactions and is told."""

    def tell(self, transaction: Transaction, message: Request | Response) -> None: ...

    def tell_failed(self, transaction: Transaction, word: str) -> None: ...

    def forget(self, transaction: Transaction) -> None: ...


class Lingering(Struct, eq=False):
    """Transactions that will have lingered at the same eighth of a second: one timer for all."""

    slot: float
    transactions: list[Transaction]


class Machine:
    """Runs the tables for all transactions. `leaving` takes what is to be sent."""

    def __init__(self, timing: Timing, leaving: list[Send], owner: Owner) -> None:
        self._timing = timing
        self._timeout_s = timing.timeout_s
        self._leaving = leaving
        self._owner = owner
        self.timers: TimerQueue[Transaction | Lingering] = TimerQueue()
        self._lingering: dict[float, Lingering] = {}
        self.absorbed: Counter[str] = Counter()
        self.repeats = {"in": 0, "out": 0}
        self.failures = {"timeout": 0, "transport": 0}
        self._acts: dict[str, Act] = {
            SEND: self._send,
            RESEND: self._resend,
            SETTLE: self._settle,
            REPEAT: self.repeat,
            LINGER: self._linger,
            EXPECT: self.expect,
            SEND_ACK: self._send_ack,
            TELL: self._tell,
            FAIL: self._fail,
        }

    def feed(self, transaction: Transaction, word: str, message: Heard, now: float) -> bool:
        """Let `word` happen to a transaction. False where its state has no row for it."""
        row = transaction.table.get((transaction.state, word))
        if row is None:
            self.absorbed[f"{transaction.state} {word}"] += 1
            return False
        transaction.state, actions = row
        for action in actions:
            self._acts[action](transaction, now, word, message)
        if transaction.state == TERMINATED:
            self._settle(transaction)
            self._owner.forget(transaction)
        return True

    def handle_timeout(self, now: float) -> None:
        """Act on every timer due at `now`."""
        while (due := self.timers.pop_due(now)) is not None:
            if isinstance(due, Lingering):
                del self._lingering[due.slot]
                for transaction in due.transactions:
                    self._forget(transaction)
            elif (word := due.take_due()) == LINGERED:
                self._forget(due)
            else:
                self.feed(due, word, None, now)

    def _forget(self, transaction: Transaction) -> None:
        """Let go what has lingered: the end in every table, with nothing to do."""
        transaction.state, transaction.deadline = TERMINATED, None
        self._owner.forget(transaction)

    def repeat(self, transaction: Transaction, now: float, *_: object) -> None:
        """Set retry and timeout; where there is a retry, the first one sets the timeout.

        A reliable transport repeats nothing but what is acknowledged end to end: a 2xx (13.3.1.4),
        a reliable 18x (RFC 3262 3).
        """
        if transaction.flow.transport == "udp" or transaction.state in END_TO_END:
            transaction.interval_s = self._timing.t1_s
            self._set_retry(transaction, now)
            return
        if transaction.detour is not None:
            transaction.interval_s = DETOUR_S
            self._set_retry(transaction, now)
        self.expect(transaction, now)

    def _send(self, transaction: Transaction, now: float, word: str, message: Heard) -> None:
        assert isinstance(message, bytes)
        transaction.kept = message
        self._leaving.append(Send(message, transaction.flow, transaction.method))

    def _send_ack(self, transaction: Transaction, now: float, word: str, message: Heard) -> None:
        assert isinstance(message, Response)
        transaction.kept = ack_for(transaction.request, message).to_bytes()
        self._leaving.append(Send(transaction.kept, transaction.flow, "ACK"))

    def _tell(self, transaction: Transaction, now: float, word: str, message: Heard) -> None:
        assert message is not None
        assert not isinstance(message, bytes)
        self._owner.tell(transaction, message)

    def _fail(self, transaction: Transaction, now: float, word: str, *_: object) -> None:
        self.failures["timeout" if word == TIMEOUT else "transport"] += 1
        self._owner.tell_failed(transaction, word)

    def _resend(self, transaction: Transaction, now: float, word: str, *_: object) -> None:
        if transaction.detour is not None and word == RETRY:
            if transaction.state == PROCEEDING:  # it was heard over TCP, which repeats by itself
                return
            come_back(transaction)
            transaction.interval_s = self._timing.t1_s / 2
        whose = transaction if transaction.is_client else None
        self._leaving.append(Send(transaction.kept, transaction.flow, transaction.method, whose))
        if word != RETRY:
            self.repeats["in"] += 1
            return
        self.repeats["out"] += 1
        if transaction.deadline is None:
            rest_s = self._timeout_s - transaction.interval_s
            transaction.deadline = self.timers.add(rest_s, now, transaction)
        if transaction.table is tables.NON_INVITE_CLIENT and transaction.state == PROCEEDING:
            transaction.interval_s = self._timing.t2_s  # 17.1.2.2
        else:
            transaction.interval_s *= 2
            if transaction.state not in DOUBLING:
                transaction.interval_s = min(transaction.interval_s, self._timing.t2_s)
        self._set_retry(transaction, now)

    def _set_retry(self, transaction: Transaction, now: float) -> None:
        transaction.retry = self.timers.add(transaction.interval_s, now, transaction)

    def _settle(self, transaction: Transaction, *_: object) -> None:
        if transaction.retry is not None:
            transaction.retry.cancel()
            transaction.retry = None
        if transaction.deadline is not None:
            transaction.deadline.cancel()
            transaction.deadline = None

    def expect(self, transaction: Transaction, now: float, *_: object) -> None:
        """Set the timeout alone; none is set before."""
        transaction.deadline = self.timers.add(self._timeout_s, now, transaction)

    def _linger(self, transaction: Transaction, now: float, *_: object) -> None:
        linger_s, deadline = transaction.linger_s(self._timing), transaction.deadline
        if (
            linger_s
            and deadline is not None
            and 0 <= deadline.at - now - linger_s < SLACK_S
            and transaction.retry is None
        ):
            return  # it was answered at once: when waiting for the answer would end will do
        self._settle(transaction)
        if not linger_s:
            transaction.state = TERMINATED
        elif linger_s < COARSE_S:
            transaction.deadline = self.timers.add(linger_s, now, transaction)
        else:
            slot = -((now + linger_s) * -8 // 1)  # as the timers are rounded
            lingering = self._lingering.get(slot)
            if lingering is None:
                lingering = self._lingering[slot] = Lingering(slot, [])
                self.timers.add(linger_s, now, lingering)
            lingering.transactions.append(transaction)
