"""Session timers of one leg (RFC 4028): what is asked and agreed, and when who has to act."""

from typing import Literal

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.message import Headers, Message, Request, Response
from sipcore.message.values import parse_number, parse_params

TAG = "timer"
LEAST_S = 90  # 4: no Min-SE means this, and none may be lower
MOST_S = 2**31 - 1
MARGIN_S = 32.0  # 10: a BYE goes so long before the end, or a third of the interval

Refresher = Literal["uac", "uas"]


class Rules(Struct, frozen=True):
    """The node's own wishes, in seconds. With an `interval_s` of 0 only peers ask for timers."""

    interval_s: int = 1800
    least_s: int = LEAST_S

    def ask(self, least_s: int = 0) -> Headers:
        """Return what an INVITE of ours says (7.1). `least_s`: the Min-SE of a 422 before."""
        if not self.interval_s:
            return {}
        least_s = max(least_s, self.least_s)
        headers: Headers = {"Session-Expires": [str(max(self.interval_s, least_s))]}
        if least_s > LEAST_S:
            headers["Min-SE"] = [str(least_s)]
        return headers


class Refresh:
    """The timer of a leg: runs from each 2xx to an INVITE or UPDATE in its dialog.

    `is_ours`: we refresh, else the peer does.
    """

    __slots__ = ("interval_s", "is_ours", "least_s", "over_at", "refresh_at")

    def __init__(self, interval_s: int, *, is_ours: bool, now: float, least_s: int = 0) -> None:
        self.interval_s = interval_s
        self.is_ours = is_ours
        self.least_s = least_s  # what a 422 has asked for
        self.refresh_at = now + interval_s / 2 if is_ours else None  # half way (7.4)
        self.over_at = now + interval_s - min(MARGIN_S, interval_s / 3)  # then the leg ends (10)

    @property
    def next_at(self) -> float:
        """When something is due next."""
        at = self.refresh_at
        return self.over_at if at is None or at > self.over_at else at

    def take_turn(self) -> None:
        """Note that the refresh has gone."""
        self.refresh_at = None

    def put_off(self, at: float) -> None:
        """Refresh at another time: it could not go, or was refused and is worth another."""
        self.refresh_at = at

    def heed(self, refusal: Response) -> bool:
        """Take a 422: the interval is what it wants. False where that is no use, or not news."""
        least_s = raised(refusal)
        if least_s is None or self.least_s:
            return False
        self.least_s = least_s
        self.interval_s = max(self.interval_s, least_s)
        return True

    def headers(self) -> Headers:
        """Return what a request of ours in the dialog says, so that the timer goes on (7.4)."""
        refresher = "uac" if self.is_ours else "uas"
        said: Headers = {"Session-Expires": [f"{self.interval_s};refresher={refresher}"]}
        if self.least_s > LEAST_S:
            said["Min-SE"] = [str(self.least_s)]
        return said


def supports(message: Message) -> bool:
    """Tell whether a peer knows session timers."""
    return TAG in message.tokens("Supported") or TAG in message.tokens("Require")


def is_too_short(request: Request, rules: Rules) -> bool:
    """Tell whether a request is to get 422 with our Min-SE (9). Raises BadMessage."""
    said = _read(request)
    return said is not None and said[0] < rules.least_s and supports(request)


def answer(request: Request, rules: Rules, now: float) -> tuple[Refresh, Headers] | None:
    """Return the timer that our 2xx sets, and what it says of it; None: no timer (9, table 2).

    A peer that knows timers refreshes, unless it has asked us to. Raises BadMessage.
    """
    said, is_able = _read(request), supports(request)
    least_s = max(request.number("Min-SE", MOST_S) or 0, rules.least_s)
    if said is not None:
        interval_s, refresher = said
        if rules.interval_s and interval_s > rules.interval_s:
            interval_s = max(rules.interval_s, least_s)
    elif is_able and rules.interval_s:
        interval_s, refresher = max(rules.interval_s, least_s), None
    else:
        return None
    chosen: Refresher = (refresher or "uac") if is_able else "uas"
    headers: Headers = {"Session-Expires": [f"{interval_s};refresher={chosen}"]}
    if is_able and chosen == "uac":
        headers["Require"] = [TAG]
    return Refresh(interval_s, is_ours=chosen == "uas", now=now), headers


def agreed(response: Response, now: float) -> Refresh | None:
    """Return the timer that a 2xx to a request of ours sets; None where it sets none (7.2)."""
    if "Session-Expires" not in response.headers:
        return None
    try:
        said = _read(response)
    except BadMessage:
        return None
    if said is None or said[0] < LEAST_S:
        return None
    return Refresh(said[0], is_ours=said[1] != "uas", now=now)


def raised(response: Response) -> int | None:
    """Return the Min-SE of a 422, above which to ask again (7.3); None where it says none."""
    try:
        least_s = response.number("Min-SE", MOST_S)
    except BadMessage:
        return None
    return least_s if response.status == 422 else None


def _read(message: Message) -> tuple[int, Refresher | None] | None:
    row = message.first("Session-Expires")
    if row is None:
        return None
    seconds = parse_number(row)
    if seconds is None or seconds > MOST_S:
        raise BadMessage("Session-Expires is no number of seconds")
    _, semicolon, params = row.partition(";")
    refresher = (parse_params(semicolon + params).get("refresher") if params else None) or ""
    refresher = refresher.lower()
    if refresher == "uac":
        return seconds, "uac"
    return seconds, "uas" if refresher == "uas" else None
