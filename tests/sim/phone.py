"""A phone for simulations: a user agent on a Stack of its own, that does what it is told.

It shares sipcore's parser and transactions; what the two sides of a B2BUA must agree on is checked
by tests that look at the packets.
"""

import asyncio
import random
from collections.abc import Callable

from sipcore.call.leg import SDP
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Acked, Cancelled, Reply, Told, Unacked, Within
from sipcore.dialog.stack import Stack
from sipcore.dialog.transaction import Transaction
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.message.digest import Credentials, ha1, response_of
from sipcore.message.flow import Flow, Hop, host_port
from sipcore.message.message import Headers, Request, Response
from sipcore.message.uri import Uri
from sipcore.metrics import Metrics
from sipcore.transport.resolve import Resolver
from tests.sim.net import Net, Place

METRICS = Metrics()


def sdp(
    place: Place, direction: str = "sendrecv", payload: str = "8 101", version: int = 1
) -> bytes:
    """Return a small description of an audio stream at a place's port + 1000."""
    address, port = place
    at = f"IN {'IP6' if ':' in address else 'IP4'} {address}"
    return (
        f"v=0\r\no=- 1 {version} {at}\r\ns=-\r\nc={at}\r\nt=0 0\r\n"
        f"m=audio {port + 1000} RTP/AVP {payload}\r\na=rtpmap:8 PCMA/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    ).encode()


class Talk:
    """One call as the phone sees it. `heard` collects the final and provisional statuses."""

    def __init__(self, phone: "Phone") -> None:
        self.phone = phone
        self.dialog: Dialog | None = None
        self.early: Dialog | None = None  # the latest that an answer of its own INVITE was in
        self.invite: Transaction | None = None
        self.answers: list[Response] = []
        self.requests: list[Request] = []
        self.replies: list[tuple[str, int]] = []
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.acked = asyncio.Event()
        self.status = 0
        self.is_over = False
        self.has_given_up = False
        self.on_request: Callable[[Talk, Within], bool] = lambda talk, event: False

    def feed(self, event: Told) -> None:
        match event:
            case Reply():
                self._reply(event)
            case Within():
                self._within(event)
            case Acked():
                self.acked.set()
            case Unacked():
                self.hang_up()
            case Cancelled():
                self.phone.endpoint.respond(event.transaction, 487)
                self._end(487)

    @property
    def body(self) -> bytes:
        """The SDP of the last answer."""
        return next((one.body for one in reversed(self.answers) if one.body), b"")

    def hang_up(self) -> None:
        """BYE, CANCEL or nothing, whatever fits."""
        if self.is_over:
            return
        self.has_given_up = True
        if self.dialog is not None and self.dialog.is_confirmed:
            self.request("BYE")
            self.phone.endpoint.end(self.dialog)
            self._end(self.status)
        elif self.invite is not None and self.invite.is_client:
            self.phone.endpoint.cancel(self.invite)

    def request(
        self, method: str, body: bytes = b"", headers: Headers | None = None
    ) -> Transaction:
        """Send a request within the dialog."""
        assert self.dialog is not None
        hop = self.phone.hop(self.dialog.next_hop())
        extra: Headers = {"Contact": [hop.contact(self.phone.user)], **(headers or {})}
        if body and "Content-Type" not in extra:
            extra["Content-Type"] = [SDP]
        request = self.dialog.request(method, extra, body)
        return self.phone.endpoint.request(request, hop, self)

    def _reply(self, event: Reply) -> None:
        response = event.response
        if event.transaction is not self.invite:
            self._later_reply(event)
            return
        self.answers.append(response)
        self.early = event.dialog or self.early
        self.status = response.status
        if 200 <= response.status < 300:
            self._answered(event)
        elif response.status >= 300:
            if response.status == 401 and self.phone.try_again(self, event):
                return
            self._end(response.status)

    def _answered(self, event: Reply) -> None:
        assert event.dialog is not None
        if self.dialog is not None and event.dialog is not self.dialog:
            return
        self.dialog = event.dialog
        self.ack(event.response)
        self.answered.set()
        if self.is_over:
            self.is_over = False
            self.hang_up()

    def ack(self, response: Response, body: bytes = b"") -> None:
        assert self.dialog is not None
        hop = self.phone.hop(self.dialog.next_hop())
        headers: Headers | None = {"Content-Type": [SDP]} if body else None
        self.phone.endpoint.ack(self.dialog, response.cseq.number, hop, headers, body)

    def _later_reply(self, event: Reply) -> None:
        self.replies.append((event.transaction.method, event.response.status))
        is_invite = event.transaction.method == "INVITE"
        if is_invite and 200 <= event.response.status < 300 and self.dialog is not None:
            self.answers.append(event.response)
            self.ack(event.response)

    def _within(self, event: Within) -> None:
        self.requests.append(event.request)
        if self.on_request(self, event):
            return
        method = event.request.method
        endpoint = self.phone.endpoint
        if method == "BYE":
            endpoint.respond(event.transaction, 200)
            if self.dialog is not None:
                endpoint.end(self.dialog)
            self._end(self.status or 200)
        elif method == "INVITE":
            self.phone.accept(event.transaction)
        else:
            endpoint.respond(event.transaction, 200)

    def _end(self, status: int) -> None:
        self.status = status
        self.is_over = True
        self.ended.set()


class Phone:
    """A device at a place. `on_invite` decides what becomes of a call that comes in."""

    def __init__(
        self, net: Net, place: Place, user: str, password: str = "", seed: int = 0
    ) -> None:
        loop = asyncio.get_running_loop()
        rng = random.Random(f"{seed}{user}{place}")
        self.ids = Ids(rng.randbytes)
        self.net = net
        self.place = place
        self.user = user
        self.domain = "acme.example"
        self.password = password
        self.stack = Stack(self.ids.token)
        self.endpoint = Endpoint(self.stack, Resolver(loop), METRICS)
        self.endpoint.on_arrival = self._arrive
        self.endpoint.add(net.open(place, self.endpoint.receive))
        self.calls: list[Talk] = []
        self.node: Place = ("10.0.0.1", 5060)
        self.on_invite: Callable[[Talk], None] = lambda talk: self.answer(talk)
        self.rang = asyncio.Event()

    def close(self) -> None:
        self.endpoint.close()

    def hop(self, uri: str | None = None) -> Hop:
        """Return the way to a URI; to the node without one."""
        target = uri or f"sip:{host_port(*self.node)}"
        hop = self.endpoint.hop_at_once(Uri.parse(target))
        assert hop is not None, target
        return hop

    def new_request(self, method: str, uri: str, headers: Headers | None = None) -> Request:
        """Build a request outside a dialog."""
        me = f"<sip:{self.user}@{self.domain}>"
        to = me if method == "REGISTER" else f"<{uri}>"
        base: Headers = {
            "Via": [],
            "Max-Forwards": ["70"],
            "From": [f"{me};tag={self.ids.token()}"],
            "To": [to],
            "Call-ID": [self.ids.token()],
            "CSeq": [f"1 {method}"],
            "Contact": [self.hop().contact(self.user)],
        }
        return Request(method, uri, {**base, **(headers or {})})

    async def ask(self, request: Request) -> Response:
        """Send a request that is no INVITE; sign in when asked to."""
        waiter = _Waiter()
        self.endpoint.request(request, self.hop(), waiter)
        response = await waiter.final()
        if response.status != 401 or not self.password:
            return response
        waiter = _Waiter()
        self.endpoint.request(self.signed(request, response), self.hop(), waiter)
        return await waiter.final()

    async def ask_once(self, challenged: Response | None = None) -> Response:
        """Register by one request: without credentials, or with those that a 401 asked for."""
        request = self.new_request("REGISTER", f"sip:{self.domain}")
        waiter = _Waiter()
        signed = request if challenged is None else self.signed(request, challenged)
        self.endpoint.request(signed, self.hop(), waiter)
        return await waiter.final()

    async def register(self, expires_s: int = 600, contact: str | None = None) -> Response:
        """Register the phone's own Contact, or another."""
        headers: Headers = {"Expires": [str(expires_s)]}
        if contact is not None:
            headers["Contact"] = [contact]
        return await self.ask(self.new_request("REGISTER", f"sip:{self.domain}", headers))

    def signed(self, request: Request, response: Response) -> Request:
        """Repeat a request with credentials for the first challenge."""
        challenge = response.headers["WWW-Authenticate"][0]
        parts = dict(
            part.strip().split("=", 1) for part in challenge.removeprefix("Digest ").split(",")
        )
        realm, nonce = parts["realm"].strip('"'), parts["nonce"].strip('"')
        algorithm = parts["algorithm"]
        bare = Credentials(
            self.user, realm, nonce, request.uri, "", algorithm, "auth", "00000001", "c0ffee"
        )
        secret = ha1(algorithm, self.user, realm, self.password)
        answer = response_of(bare, request.method, secret)
        number = request.cseq.number + 1
        headers = dict(request.headers)
        headers["CSeq"] = [f"{number} {request.method}"]
        headers["Authorization"] = [
            f'Digest username="{self.user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{request.uri}", response="{answer}", algorithm={algorithm}, '
            f'qop=auth, nc=00000001, cnonce="c0ffee"'
        ]
        return Request(request.method, request.uri, headers, request.body)

    def call(self, number: str, headers: Headers | None = None, body: bytes | None = None) -> Talk:
        """Begin a call; follow it by the Talk."""
        talk = Talk(self)
        self.calls.append(talk)
        request = self.new_request("INVITE", f"sip:{number}@{self.domain}", headers)
        request.body = sdp(self.place) if body is None else body
        if request.body:
            request.headers.setdefault("Content-Type", [SDP])
        talk.invite = self.endpoint.request(request, self.hop(), talk)
        return talk

    def try_again(self, talk: Talk, event: Reply) -> bool:
        """Send the INVITE again with credentials, once."""
        request = event.request
        if not self.password or "Authorization" in request.headers or talk.has_given_up:
            return False
        talk.invite = self.endpoint.request(self.signed(request, event.response), self.hop(), talk)
        if talk.is_over:
            talk.hang_up()
        return True

    def answer(self, talk: Talk) -> None:
        """Ring and answer at once."""
        self.ring(talk)
        self.pick_up(talk)

    def ring(self, talk: Talk, status: int = 180, body: bytes = b"") -> None:
        assert talk.invite is not None
        headers: Headers = {"Contact": [self.hop().contact(self.user)]}
        if body:
            headers["Content-Type"] = [SDP]
        self.endpoint.respond(talk.invite, status, headers, body)

    def pick_up(self, talk: Talk, body: bytes = b"", extra: Headers | None = None) -> None:
        """Answer, with an SDP and header fields of the test's own if it has any."""
        assert talk.invite is not None
        if not talk.is_over:
            self.accept(talk.invite, body, extra)
            talk.status = 200
            talk.answered.set()

    def refuse(self, talk: Talk, status: int, headers: Headers | None = None) -> None:
        assert talk.invite is not None
        self.endpoint.respond(talk.invite, status, headers)
        talk._end(status)

    def accept(
        self, transaction: Transaction, body: bytes = b"", extra: Headers | None = None
    ) -> None:
        """Answer an INVITE, the first or a later one; holding is answered by recvonly."""
        offer = transaction.request.body
        direction = "recvonly" if b"a=sendonly" in offer else "sendrecv"
        contact = [self.hop().contact(self.user)]
        headers: Headers = {"Contact": contact, "Content-Type": [SDP], **(extra or {})}
        self.endpoint.respond(transaction, 200, headers, body or sdp(self.place, direction))

    def new_talk(self, request: Request) -> Talk:
        """Make what follows a call that comes in."""
        return Talk(self)

    def _arrive(self, request: Request, flow: Flow) -> None:
        if request.method != "INVITE":
            self.endpoint.reply_statelessly(request, flow, 200)
            return
        talk = self.new_talk(request)
        talk.invite = self.endpoint.accept(request, flow, talk)
        talk.dialog = self.endpoint.open_dialog(talk.invite)
        talk.requests.append(request)
        self.calls.append(talk)
        self.rang.set()
        self.on_invite(talk)


class _Waiter:
    """Waits for the final response of one request."""

    def __init__(self) -> None:
        self._done: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def feed(self, event: Told) -> None:
        if isinstance(event, Reply) and event.response.status >= 200 and not self._done.done():
            self._done.set_result(event.response)

    async def final(self) -> Response:
        return await self._done
