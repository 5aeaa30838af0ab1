"""Our registration with a carrier (RFC 3261 10.2): when and what to ask, what to make of answers.

A table and the numbers beside it; told the time, it says when it wants to be asked again. It sends
nothing and looks nothing up: call/registering.py does.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.address import Address
from sipcore.message.message import Headers, Request, Response
from sipcore.message.signer import CHALLENGED, Signer
from sipcore.message.uri import Uri
from sipcore.message.values import parse_number

# States
WAITING: Final = "waiting"  # for the first time to ask, or for the next after a failure
ASKING: Final = "asking"
REGISTERED: Final = "registered"
LEAVING: Final = "leaving"
GONE: Final = "gone"

# What happened
DUE: Final = "due"
GRANTED: Final = "granted"
AGAIN: Final = "again"  # a challenge, or too brief a time: ask once more, at once
REFUSED: Final = "refused"
SILENT: Final = "silent"  # nobody answered, or nobody could be reached
LEAVE: Final = "leave"

# What to do
HOLD: Final = "hold"  # keep what was granted, come again before it ends
RETRY: Final = "retry"  # come again at once
BACK_OFF: Final = "back-off"
ELSEWHERE: Final = "elsewhere"  # the next address gets its try
FORGET: Final = "forget"  # nothing is registered any more

TABLE: Final[dict[tuple[str, str], tuple[str, tuple[str, ...]]]] = {
    (WAITING, DUE): (ASKING, ()),
    (REGISTERED, DUE): (ASKING, ()),
    (ASKING, DUE): (ASKING, ()),
    (ASKING, GRANTED): (REGISTERED, (HOLD,)),
    (ASKING, AGAIN): (ASKING, (RETRY,)),
    (ASKING, REFUSED): (WAITING, (BACK_OFF,)),
    (ASKING, SILENT): (WAITING, (ELSEWHERE, BACK_OFF)),
    (WAITING, SILENT): (WAITING, (ELSEWHERE, BACK_OFF)),
    (REGISTERED, SILENT): (WAITING, (ELSEWHERE, BACK_OFF)),
    (WAITING, LEAVE): (LEAVING, (RETRY,)),
    (ASKING, LEAVE): (LEAVING, ()),  # an answer is awaited: one REGISTER at a time (10.2)
    (REGISTERED, LEAVE): (LEAVING, (RETRY,)),
    (LEAVING, DUE): (LEAVING, ()),
    (LEAVING, AGAIN): (LEAVING, (RETRY,)),
    (LEAVING, GRANTED): (GONE, (FORGET,)),
    (LEAVING, REFUSED): (GONE, (FORGET,)),
    (LEAVING, SILENT): (GONE, (FORGET,)),
}

FIRST_S = 2.0  # the first REGISTERs of a node are spread over so long
BACK_OFF_S = 30.0  # RFC 5626 4.5: doubled with each failure, half of it random
REFUSED_S = 240.0  # a wrong password does not become right by asking often
MOST_BACK_OFF_S = 1800.0
ELSEWHERE_S = 1.0
LEAST_REFRESH_S = 10.0
MOST_EXPIRES_S = 86_400
_MOST_AGAIN = 5
_MOST_ROUTES = 8


class Terms(Struct, frozen=True):
    """What is asked for: an address of record, for how long."""

    user: str
    domain: str
    expires_s: int

    @property
    def record(self) -> Uri:
        is_bare_v6 = ":" in self.domain and self.domain[:1] != "["
        return Uri(user=self.user, host=f"[{self.domain}]" if is_bare_v6 else self.domain)


class Registration:
    """One of them. `token(n)` draws n random characters, `draw()` a number in [0, 1)."""

    def __init__(
        self,
        terms: Terms,
        signer: Signer,
        token: Callable[[int], str],
        draw: Callable[[], float],
    ) -> None:
        self.terms = terms
        self.state = WAITING
        self.next_at: float | None = None  # when ask() wants to be called
        self.ways = 1  # how many addresses the carrier has
        self.registered_until = 0.0
        self.reason = ""  # why it failed the last time
        self.last = ""  # what happened last: one of the words above
        self.service_route: tuple[str, ...] = ()  # RFC 3608: how our requests go there
        self._signer = signer
        self._draw = draw
        self._call_id, self._tag = token(32), token(16)
        self._number = 0
        self._expires_s = terms.expires_s
        self._failures = 0
        self._tries = 0  # addresses tried in a row
        self._again = 0  # REGISTERs asked for at once, in a row
        self._contact = ""
        self._asked_at = 0.0
        self._is_out = False
        self._is_leaving = False  # what is out is the REGISTER that removes

    def begin(self, now: float) -> None:
        """Ask for the first time, soon."""
        self.next_at = now + self._draw() * FIRST_S

    def renew(self, now: float) -> None:
        """Ask again soon: our address is another one. What is out already is not asked twice."""
        if self.next_at is not None and self.state not in (LEAVING, GONE):
            self.next_at = min(self.next_at, now + self._draw() * FIRST_S)

    def is_registered(self, now: float) -> bool:
        """Tell whether what was granted last still holds, whatever became of the refresh."""
        return now < self.registered_until

    def ask(self, now: float, contact: str) -> Request | None:
        """Return the REGISTER that is due, without its Via; None: it is too early.

        `contact` is our Contact as this carrier is to see it, in angle brackets.
        """
        if self.next_at is None or now < self.next_at or self._is_out:
            return None
        self._feed(DUE, now)
        if self.state == GONE:
            return None
        self.next_at = None
        self._number += 1
        self._contact, self._asked_at, self._is_out = contact, now, True
        self._is_leaving = self.state == LEAVING
        request = self._request()
        self._signer.sign(request)
        return request

    def _request(self) -> Request:
        record = str(self.terms.record)
        expires_s = 0 if self._is_leaving else self._expires_s
        headers: Headers = {
            "Via": [],
            "Max-Forwards": ["70"],
            "From": [f"<{record}>;tag={self._tag}"],
            "To": [f"<{record}>"],
            "Call-ID": [self._call_id],
            "CSeq": [f"{self._number} REGISTER"],
            "Contact": [f"{self._contact};expires={expires_s}"],
            "Expires": [str(expires_s)],
            "Supported": ["path"],
        }
        target = Uri(host=self.terms.record.host)
        return Request("REGISTER", str(target), headers)

    def answered(self, response: Response, now: float, *, is_local: bool = False) -> None:
        """Take a final answer. `is_local`: nobody gave it, the time or the transport did."""
        if not self._is_out or response.status < 200:
            return
        self._is_out = False
        if self.state == LEAVING and not self._is_leaving and self._may_hold(response, now):
            self._feed(AGAIN, now)
        elif is_local:
            self.reason = "no answer" if response.status == 408 else "cannot be reached"
            self._feed(SILENT, now)
        elif response.status < 300:
            self._succeed(response, now)
        else:
            self._fail(response, now)

    def _may_hold(self, response: Response, now: float) -> bool:
        """The order to leave came while a REGISTER was out: is there something to remove?"""
        return response.status < 300 or (
            response.status not in CHALLENGED and self.is_registered(now)
        )

    def lost(self, now: float) -> None:
        """Take note that there is no way to the carrier: its name leads nowhere."""
        self._is_out = False
        self.reason = "no address"
        self._feed(SILENT, now)

    def leave(self, now: float) -> None:
        """Unregister, where something is registered or may be."""
        if self.state in (LEAVING, GONE):
            return
        if not self._is_out and not self.is_registered(now):
            self.state, self.next_at = GONE, None
            return
        self._feed(LEAVE, now)

    def _succeed(self, response: Response, now: float) -> None:
        self._signer.accepted()
        try:
            granted_s = self._granted_s(response) if self.state == ASKING else 0
            routes = tuple(str(one.uri) for one in response.addresses("Service-Route"))
        except BadMessage as fault:
            self.reason = f"an answer that cannot be read: {fault.reason}"
            self._feed(REFUSED, now)
            return
        if self.state == ASKING and granted_s <= 0:
            self.reason = "granted no time"
            self._feed(REFUSED, now)
            return
        self.registered_until = self._asked_at + granted_s
        self.service_route = routes[:_MOST_ROUTES]
        self._feed(GRANTED, now)

    def _granted_s(self, response: Response) -> int:
        """Return for how long (10.2.4): what stands at our Contact, else Expires, else the wish.

        A registrar that does not show our Contact, or shows it rewritten, is believed: then the
        shortest of the times shown counts.
        """
        contacts = [] if "*" in response.values("Contact") else response.addresses("Contact")
        mine = [one for one in contacts if self._is_mine(one)] or contacts
        times = [parse_number(one.params.get("expires") or "") for one in mine]
        known = [one for one in times if one is not None]
        if known:
            return min(*known, MOST_EXPIRES_S)
        said = parse_number(response.first("Expires") or "")
        return min(self._expires_s if said is None else said, MOST_EXPIRES_S)

    def _is_mine(self, contact: Address) -> bool:
        ours = Uri.parse(self._contact.strip("<>"))
        uri = contact.uri
        return (uri.user, uri.address.lower(), uri.port) == (ours.user, ours.address, ours.port)

    def _fail(self, response: Response, now: float) -> None:
        status = response.status
        is_challenge = status in CHALLENGED
        if not is_challenge:
            self._signer.accepted()
        may_ask = self._signer.learn(response) if is_challenge else self._lengthen(response)
        if may_ask and self._again < _MOST_AGAIN:
            self._again += 1
            self._feed(AGAIN, now)
            return
        self.reason = "credentials refused" if is_challenge else f"{status}"
        is_silence = status == 408 or status >= 500
        self._feed(SILENT if is_silence and status < 600 else REFUSED, now)
        after = parse_number(response.first("Retry-After") or "")
        if after is not None and self.next_at is not None:
            wait_s = min(after, MOST_BACK_OFF_S)
            self.next_at = max(self.next_at, now + wait_s * (1 + 0.1 * self._draw()))

    def _lengthen(self, response: Response) -> bool:
        """Take the Min-Expires of a 423 (10.2.8); False where it asks for nothing more."""
        least = parse_number(response.first("Min-Expires") or "")
        if response.status != 423 or least is None or not self._expires_s < least <= MOST_EXPIRES_S:
            return False
        self._expires_s = least
        return True

    def _feed(self, word: str, now: float) -> None:
        row = TABLE.get((self.state, word))
        self.last = word
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            _ACTIONS[action](self, now, word)

    def _hold(self, now: float, _word: str) -> None:
        self._failures = self._tries = self._again = 0
        self.reason = ""
        granted_s = self.registered_until - self._asked_at
        before_s = granted_s * (0.75 + 0.15 * self._draw())
        self.next_at = max(self._asked_at + before_s, now + LEAST_REFRESH_S)

    def _retry(self, now: float, _word: str) -> None:
        self.next_at = now

    def _elsewhere(self, _now: float, _word: str) -> None:
        self._tries += 1

    def _back_off(self, now: float, word: str) -> None:
        """Wait longer with each failure; but every address of a carrier gets its try first."""
        self._again = 0
        if word == SILENT and self._tries < self.ways:
            self.next_at = now + ELSEWHERE_S * self._draw()
            return
        self._tries = 0
        base_s = REFUSED_S if word == REFUSED else BACK_OFF_S
        wait_s = min(MOST_BACK_OFF_S, base_s * 2 ** min(self._failures, 10))
        self._failures += 1
        self.next_at = now + wait_s * (0.5 + 0.5 * self._draw())

    def _forget(self, _now: float, _word: str) -> None:
        self.registered_until, self.next_at, self.service_route = 0.0, None, ()


_ACTIONS: Final[dict[str, Callable[[Registration, float, str], None]]] = {
    HOLD: Registration._hold,
    RETRY: Registration._retry,
    BACK_OFF: Registration._back_off,
    ELSEWHERE: Registration._elsewhere,
    FORGET: Registration._forget,
}
