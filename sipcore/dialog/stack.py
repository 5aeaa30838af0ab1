"""The stack: transactions and dialogs of a node. Told the time and what came; polled for the rest.

It answers by itself what needs no judgement: 100, repeats, CANCEL's 200, ACKs, 481, 482. All other
requests are given to its user, who accepts them and responds.
"""

import zlib
from collections import deque
from collections.abc import Callable

from sipcore.dialog import matching
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.dialogs import Dialogs
from sipcore.dialog.events import (
    Acked,
    Arrival,
    Cancelled,
    Event,
    Reply,
    Send,
    Unacked,
    User,
    Within,
)
from sipcore.dialog.machine import Machine
from sipcore.dialog.oversize import LARGE, Oversize
from sipcore.dialog.servers import Servers
from sipcore.dialog.tables import (
    ACK,
    CALLING,
    CANCELLED,
    ERROR,
    GIVEN,
    HEARD,
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    PRACKED,
    PROCEEDING,
    REQUEST,
    RETRY,
    S1XX,
    S1XX_RELIABLE,
    S2XX,
)
from sipcore.dialog.transaction import ANSWERED, Timing, Transaction
from sipcore.message.echo import echo_of, write_answer, write_response, write_rows
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import NO_REQUEST, Headers, Request, Response, response_to

MOST_MERGED = 100_000


class Stack:
    """All transactions and dialogs. `token(n)` draws n random characters; `mark` names the node.

    Every branch begins with the mark, so that a request that comes back to us is known (RFC 3261
    16.3). Nothing here waits: call poll() until it returns None after every call that takes `now`.
    `next_timeout()` tells when handle_timeout must be called next.
    """

    def __init__(
        self, token: Callable[[int], str], timing: Timing | None = None, most: int = MOST_MERGED
    ) -> None:
        self._token = token
        self._mark = f"{matching.COOKIE}{token(8)}"
        self.mark = self._mark.encode()  # every branch of ours has it
        self._unkept = f"{self._mark[len(matching.COOKIE) :]}-"  # tags of what nothing is kept of
        self._unkept_tag = f";tag={self._unkept}".encode()
        self._unkept_size = len(self._unkept_tag) + 8
        self._clients: dict[tuple[str, ...], Transaction] = {}
        self._servers = Servers(most)
        # What poll() takes; a busy owner takes it itself.
        self.leaving: list[Send] = []
        self.events: deque[Event] = deque()
        self._machine = Machine(timing or Timing(), self.leaving, self)
        self.timers = self._machine.timers  # a busy owner looks at earliest_at itself
        self.absorbed = self._machine.absorbed  # what came and had no place, by kind
        # What was sent again "out" by a timer, "in" because the peer repeated.
        self.repeats = self._machine.repeats
        # What ended by "timeout" or because the "transport" could not send.
        self.failures = self._machine.failures
        self.next_timeout = self.timers.next_at
        self.dialogs = Dialogs()
        self.oversize = Oversize()

    # What came

    def receive(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Take a valid message. Raises BadMessage where a view of it turns out broken."""
        if isinstance(message, Response):
            self._receive_response(message, flow, now)
        elif message.method == "ACK":
            self._receive_ack(message, now)
        elif message.method == "CANCEL":
            self._receive_cancel(message, flow)
        elif (transaction := self._servers.get(matching.server_key(message))) is not None:
            self._machine.feed(transaction, REQUEST, message, now)
        else:
            matching.stamp_via(message, flow)
            self._receive_new(message, flow, now)

    def is_needless(self, ack: bytes) -> bool:
        """Tell whether an ACK is of what was answered without state: a field ends with its tag."""
        at = ack.find(self._unkept_tag)
        end = at + self._unkept_size
        return at > 0 and ack[end : end + 2] == b"\r\n"

    def _receive_response(self, response: Response, flow: Flow, now: float) -> None:
        marks = response.marks
        transaction = self._clients.get((marks.branch, marks.method))
        vias = response.headers["Via"]
        is_alone = len(vias) == 1 and (marks.is_plain or len(response.values("Via")) == 1)
        if transaction is None or not is_alone:  # 8.1.3.3
            self.absorbed["stray response"] += 1
            return
        self._machine.feed(transaction, HEARD[response.status // 100], response, now)
        if transaction.cancelling == "owed" and transaction.state == PROCEEDING:
            self._send_cancel(transaction, now)

    def _receive_ack(self, ack: Request, now: float) -> None:
        transaction = self._servers.of_ack(ack)
        if transaction is None:
            self.absorbed["stray ACK"] += 1
        else:
            self._machine.feed(transaction, ACK, ack, now)

    def _receive_cancel(self, cancel: Request, flow: Flow) -> None:
        transaction = self._servers.get(matching.cancelled_key(cancel))
        matching.stamp_via(cancel, flow)
        if transaction is None:
            self.reply_statelessly(cancel, flow, 481)
            return
        self.reply_statelessly(cancel, flow, 200, tag=transaction.tag)
        if not transaction.is_answered and not transaction.cancelling:
            transaction.cancelling = "sent"
            self.events.append(Cancelled(transaction.user, transaction, cancel))

    def _receive_new(self, request: Request, flow: Flow, now: float) -> None:
        if request.marks.to_tag is None:
            self._receive_outside(request, flow)
            return
        dialog = self.dialogs.of_request(request)
        if dialog is None:
            self.reply_statelessly(request, flow, 481)
            return
        if not dialog.takes(now) and request.method != "BYE":
            self.reply_statelessly(request, flow, 503)
            return
        transaction = self._open_server(request, flow, dialog.local_tag, now)
        transaction.user = dialog.user
        if not dialog.accepts(request.marks.number):  # 12.2.2
            self.respond(transaction, 500, now)
            return
        dialog.flow = flow
        if request.method in ("INVITE", "UPDATE"):
            dialog.learn_target(request)
        self.events.append(Within(dialog.user, dialog, transaction, request))

    def _receive_outside(self, request: Request, flow: Flow) -> None:
        vias = request.headers["Via"]
        is_ours = self._mark in (vias[0] if len(vias) == 1 else ",".join(vias))
        if is_ours or self._servers.has_merged(request):
            self.reply_statelessly(request, flow, 482)
        else:
            self.events.append(Arrival(request, flow))

    # What the user asks for

    def accept(self, request: Request, flow: Flow, user: User | None, now: float) -> Transaction:
        """Open the server transaction of an Arrival. An INVITE gets its 100 at once."""
        transaction = self._open_server(request, flow, self._token(16), now)
        transaction.user = user
        self._servers.merge(transaction)
        return transaction

    def has_server(self, key: tuple[str, ...]) -> bool:
        """Tell whether a server transaction lives under a key of matching.server_key."""
        return key in self._servers

    def open_dialog(self, transaction: Transaction) -> Dialog:
        """Begin the dialog of an accepted INVITE, so that requests within it find its user."""
        return self.dialogs.begin_server(transaction)

    def end(self, dialog: Dialog) -> None:
        """Forget a dialog; later requests within it get 481."""
        self.dialogs.end(dialog)

    def respond(
        self,
        transaction: Transaction,
        status: int,
        now: float,
        headers: Headers | None = None,
        body: bytes = b"",
        *,
        is_reliable: bool = False,
    ) -> bool:
        """Send a response. False where it is too late for it: a final one went before.

        `is_reliable`: an 18x that is repeated until `settle` or a final response; Unacked tells
        that its PRACK never came (RFC 3262 3).
        """
        if transaction.state in ANSWERED:
            return False
        assert transaction.echo is not None, "a request that came, not answered yet"
        data = write_response(transaction.echo, status, headers, body)
        word = S1XX_RELIABLE if is_reliable else GIVEN[status // 100]
        if status >= 200:
            self._servers.unmerge(transaction)
            if transaction.retry is not None:
                self.settle(transaction, now)
            if transaction.is_invite:
                if word == S2XX:
                    self._servers.await_ack(transaction)
                self.dialogs.conclude(transaction, is_accepted=word == S2XX)
        is_sent = self._machine.feed(transaction, word, data, now)
        if status >= 200:  # what lingers is small
            transaction.request, transaction.echo = NO_REQUEST, None
            if word != S2XX or not transaction.is_invite:
                transaction.user = None
        return is_sent

    def settle(self, transaction: Transaction, now: float) -> None:
        """Repeat a reliable 18x no more: its PRACK came."""
        self._machine.feed(transaction, PRACKED, None, now)

    def reply_statelessly(
        self,
        request: Request,
        flow: Flow,
        status: int,
        headers: Headers | None = None,
        tag: str | None = None,
    ) -> None:
        """Answer without keeping anything (8.2.7). The tag is the same for repeats of a request."""
        if tag is None:
            marks = request.marks
            said = f"{self._mark}{marks.branch}{marks.call_id}{marks.number}"
            tag = f"{self._unkept}{zlib.crc32(said.encode('utf-8', 'surrogateescape')):08x}"
        if status >= 300:
            data = write_answer(request, status, tag, write_rows(headers) if headers else "")
        else:
            data = write_response(echo_of(request, tag), status, headers)
        self.leaving.append(Send(data, matching.reply_flow(request, flow), request.method))

    def refuse_broken(self, request: Request, flow: Flow, status: int, reason: str) -> None:
        """Answer a request that validate() refused, as far as its fields can be copied.

        Raises BadMessage where that is not enough: then it gets nothing.
        """
        response, back = matching.refusal_of(request, flow, status)
        response.phrase = f"{response.reason} - {reason}"
        self.leaving.append(Send(response.to_bytes(), back, request.method))

    def request(self, request: Request, hop: Hop, user: User | None, now: float) -> Transaction:
        """Send a request that is no ACK; its replies name the transaction returned."""
        branch = f"{self._mark}{self._token(16)}"
        request.headers["Via"] = [hop.via(branch)]
        table = INVITE_CLIENT if request.method == "INVITE" else NON_INVITE_CLIENT
        transaction = Transaction.begun(table, (branch, request.method), request, hop.flow)
        transaction.user = user
        if transaction.is_invite:
            request.mark(branch)
        return self._open_client(transaction, now)

    def ack(
        self,
        dialog: Dialog,
        number: int,
        hop: Hop,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """Acknowledge a 2xx to the INVITE with that CSeq number; repeats get the same again."""
        via = hop.via(f"{self._mark}{self._token(16)}")
        data = dialog.write_ack(number, via, headers, body)
        dialog.ack = (number, data, hop.flow)
        self.leaving.append(Send(data, hop.flow, "ACK"))

    def cancel(self, transaction: Transaction, now: float, reason: str | None = None) -> None:
        """Cancel an INVITE of ours: at once, or when its first provisional comes (9.1)."""
        if not transaction.is_invite or transaction.is_answered or transaction.cancelling:
            return
        transaction.cancel_reason = reason
        if transaction.state == CALLING:
            transaction.cancelling = "owed"
        else:
            self._send_cancel(transaction, now)

    # Time, transports, and people who look in

    def fail(self, transaction: Transaction, now: float) -> None:
        """Take note that the transport could not send for a transaction."""
        word = ERROR if transaction.detour is None else RETRY
        self._machine.feed(transaction, word, None, now)

    def handle_timeout(self, now: float) -> None:
        """Act on every timer due at `now`."""
        self._machine.handle_timeout(now)

    def poll(self) -> Send | Event | None:
        """Take the next thing to send or to tell."""
        if self.leaving:
            return self.leaving.pop(0)
        return self.events.popleft() if self.events else None

    def transactions(self) -> list[Transaction]:
        """Return all that live."""
        return [*self._clients.values(), *self._servers.values()]

    def count(self) -> int:
        """Return how many transactions live."""
        return len(self._clients) + len(self._servers)

    @property
    def is_settled(self) -> bool:
        """True when no request of ours waits for an answer, and no answer of ours for its ACK."""
        return self._servers.is_settled and all(one.is_answered for one in self._clients.values())

    # The machine's owner

    def tell(self, transaction: Transaction, message: Request | Response) -> None:
        """Turn a message that passed the tables into an event."""
        if isinstance(message, Request):  # only an ACK is told of a server transaction
            self._servers.await_no_ack(transaction)
            self.events.append(Acked(transaction.user, transaction, message))
            transaction.user = None
            return
        status, dialog = message.status, None
        if transaction.is_invite and status > 100:
            came_before = status >= 200 and not transaction.kept
            if came_before and (ack := self.dialogs.ack_sent(transaction, message)):
                self.leaving.append(Send(*ack, "ACK"))
                return
            dialog = self.dialogs.of_response(transaction, message)
        user, request = transaction.user, transaction.request
        self.events.append(Reply(user, transaction, request, message, dialog))
        if status >= 200:
            transaction.slim(status)

    def tell_failed(self, transaction: Transaction, word: str) -> None:
        """Tell that nobody answered, in the shape of a response (8.1.3.1), or acknowledged."""
        if transaction.is_client:
            self.dialogs.end_early(transaction)
            response = response_to(transaction.request, 503 if word == ERROR else 408, "local")
            user, request = transaction.user, transaction.request
            self.events.append(Reply(user, transaction, request, response, is_local=True))
        else:
            self.events.append(Unacked(transaction.user, transaction))

    def forget(self, transaction: Transaction) -> None:
        """Let a transaction go that has ended."""
        if transaction.is_client:
            self._clients.pop(transaction.key, None)
            self.dialogs.end_early(transaction)
        else:
            self._servers.forget(transaction)
        transaction.dialogs = ()
        transaction.user = transaction.echo = None
        transaction.request, transaction.kept = NO_REQUEST, b""

    # Inside

    def _open_server(self, request: Request, flow: Flow, tag: str, now: float) -> Transaction:
        table = INVITE_SERVER if request.method == "INVITE" else NON_INVITE_SERVER
        key = matching.server_key(request)
        reply = matching.reply_flow(request, flow)
        transaction = self._servers[key] = Transaction.begun(table, key, request, reply, tag)
        transaction.echo = echo_of(request, tag)
        if transaction.is_invite:
            self._machine.feed(transaction, S1XX, write_response(transaction.echo, 100), now)
        else:
            self._machine.expect(transaction, now)
        return transaction

    def _open_client(self, transaction: Transaction, now: float) -> Transaction:
        transaction.kept = transaction.request.to_bytes()
        if len(transaction.kept) > LARGE and not transaction.flow.is_reliable:
            self.oversize.fit(transaction)
        self._clients[transaction.key] = transaction
        method = transaction.method
        self.leaving.append(Send(transaction.kept, transaction.flow, method, transaction))
        self._machine.repeat(transaction, now)
        return transaction

    def _send_cancel(self, invite: Transaction, now: float) -> None:
        invite.cancelling = "sent"
        cancel = matching.cancel_for(invite.request, invite.cancel_reason)
        key = (invite.key[0], "CANCEL")
        self._open_client(Transaction.begun(NON_INVITE_CLIENT, key, cancel, invite.flow), now)
        self._machine.feed(invite, CANCELLED, None, now)
