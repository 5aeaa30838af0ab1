"""What makes the tables move: one step of one transaction, its timers, what leaves by it."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from sipcore.dialog import tables
from sipcore.dialog.events import Event, Send
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
from sipcore.timers import TimerQueue

END_TO_END = frozenset((ACCEPTED, PROCEEDING))
DOUBLING = frozenset((CALLING, PROCEEDING))  # without end: timer A, and the repeats of an 18x


class Owner(Protocol):
    """Who keeps the transactions and is told."""

    def tell(self, transaction: Transaction, message: Request | Response) -> None: ...

    def tell_failed(self, transaction: Transaction, word: str) -> None: ...

    def forget(self, transaction: Transaction) -> None: ...


class Machine:
    """Runs the tables for all transactions. `out` takes what is to be sent and told."""

    def __init__(self, timing: Timing, out: deque[Send | Event], owner: Owner) -> None:
        self._timing = timing
        self._out = out
        self._owner = owner
        self.timers: TimerQueue[tuple[Transaction, str]] = TimerQueue()
        self.absorbed: Counter[str] = Counter()
        self.repeats = {"in": 0, "out": 0}
        self.failures = {"timeout": 0, "transport": 0}
        self._acts: dict[str, Callable[[Transaction, float], None]] = {
            SETTLE: self._settle,
            REPEAT: self.repeat,
            LINGER: self._linger,
            EXPECT: self.expect,
        }

    def feed(
        self,
        transaction: Transaction,
        word: str,
        message: Request | Response | bytes | None,
        now: float,
    ) -> bool:
        """Let `word` happen to a transaction. False where its state has no row for it.

        `message` came, or is the response that our user gives, as bytes.
        """
        row = transaction.table.get((transaction.state, word))
        if row is None:
            self.absorbed[f"{transaction.state} {word}"] += 1
            return False
        transaction.state, actions = row
        for action in actions:
            if action in self._acts:
                self._acts[action](transaction, now)
            elif action == RESEND:
                self._resend(transaction, word, now)
            elif action == FAIL:
                self.failures["timeout" if word == TIMEOUT else "transport"] += 1
                self._owner.tell_failed(transaction, word)
            else:
                assert message is not None, "only what came or is given has these actions"
                self._hand_on(transaction, action, message)
        if transaction.state == TERMINATED:
            self._settle(transaction, now)
            self._owner.forget(transaction)
        return True

    def handle_timeout(self, now: float) -> None:
        """Act on every timer due at `now`."""
        while (due := self.timers.pop_due(now)) is not None:
            transaction, word = due
            self.feed(transaction, word, None, now)

    def timer_count(self) -> int:
        """Return how many timers are set."""
        return len(self.timers)

    def repeat(self, transaction: Transaction, now: float) -> None:
        """Set retry and timeout. A reliable transport repeats nothing but what is acknowledged end
        to end: a 2xx (13.3.1.4), a reliable 18x (RFC 3262 3)."""
        if not transaction.flow.is_reliable or transaction.state in END_TO_END:
            transaction.interval_s = self._timing.t1_s
            self._set_retry(transaction, now)
        elif transaction.detour is not None:
            transaction.interval_s = DETOUR_S
            self._set_retry(transaction, now)
        self.expect(transaction, now)

    def _hand_on(
        self, transaction: Transaction, action: str, message: Request | Response | bytes
    ) -> None:
        if isinstance(message, bytes):
            assert action == SEND
            transaction.kept = message
            self._send(transaction)
        elif action == TELL:
            self._owner.tell(transaction, message)
        else:
            assert action == SEND_ACK
            assert isinstance(message, Response)
            transaction.kept = ack_for(transaction.request, message).to_bytes()
            self._out.append(Send(transaction.kept, transaction.flow, "ACK"))

    def _send(self, transaction: Transaction) -> None:
        method = transaction.method
        self._out.append(Send(transaction.kept, transaction.flow, method, transaction))

    def _resend(self, transaction: Transaction, word: str, now: float) -> None:
        if transaction.detour is not None and word == RETRY:
            if transaction.state == PROCEEDING:  # it was heard over TCP, which repeats by itself
                return
            come_back(transaction)
            transaction.interval_s = self._timing.t1_s / 2
        self._send(transaction)
        if word != RETRY:
            self.repeats["in"] += 1
            return
        self.repeats["out"] += 1
        if transaction.table is tables.NON_INVITE_CLIENT and transaction.state == PROCEEDING:
            transaction.interval_s = self._timing.t2_s  # 17.1.2.2
        else:
            transaction.interval_s *= 2
            if transaction.state not in DOUBLING:
                transaction.interval_s = min(transaction.interval_s, self._timing.t2_s)
        self._set_retry(transaction, now)

    def _set_retry(self, transaction: Transaction, now: float) -> None:
        transaction.retry = self.timers.add(transaction.interval_s, now, (transaction, RETRY))

    def _settle(self, transaction: Transaction, now: float) -> None:
        if transaction.retry is not None:
            transaction.retry.cancel()
            transaction.retry = None
        if transaction.deadline is not None:
            transaction.deadline.cancel()
            transaction.deadline = None

    def expect(self, transaction: Transaction, now: float) -> None:
        """Set the timeout alone; none is set before."""
        timeout_s = self._timing.timeout_s
        transaction.deadline = self.timers.add(timeout_s, now, (transaction, TIMEOUT))

    def _linger(self, transaction: Transaction, now: float) -> None:
        self._settle(transaction, now)
        linger_s = transaction.linger_s(self._timing)
        if linger_s:
            transaction.deadline = self.timers.add(linger_s, now, (transaction, LINGERED))
        else:
            transaction.state = TERMINATED
