"""Diversion and History-Info: by whom a call was forwarded (RFC 5806, 7044, 7544)."""

from sipcore.message.message import Message
from sipcore.message.uri import Uri

MOST_FORWARDS = 5

# RFC 7544 3.4: Diversion's reason and the cause of a History-Info entry (RFC 4458).
CAUSES = {
    "unconditional": 302,
    "user-busy": 486,
    "no-answer": 408,
    "deflection": 480,
    "unavailable": 503,
    "time-of-day": 404,
    "do-not-disturb": 404,
    "follow-me": 404,
    "away": 404,
    "unknown": 404,
}


def forwards_of(message: Message) -> int:
    """Return how often a call was forwarded before it came, as far as it says.

    A Diversion entry may stand for several (`counter`, RFC 5806 7); of a History-Info those count
    that have a cause, which is how a forward is told from a mere hop (RFC 7044 5).
    """
    headers = message.headers
    if "Diversion" not in headers and "History-Info" not in headers:
        return 0
    diverted = sum(_counter(one.params.get("counter")) for one in message.addresses("Diversion"))
    entries = [one.uri for one in message.addresses("History-Info")]
    retargeted = sum("cause" in uri.params for uri in entries)
    return max(diverted, retargeted)


def _counter(said: str | None) -> int:
    return min(int(said), 100) if said and said.isascii() and said.isdecimal() else 1


def diversion(by: Uri, reason: str, count: int = 1) -> str:
    """Write a Diversion entry for a number that has forwarded a call."""
    return f"<{by}>;reason={reason};counter={count}"


def history(by: Uri, to: Uri, reason: str) -> list[str]:
    """Write both entries of a History-Info: whom it was for, and where it was sent then."""
    cause = {**to.params, "cause": str(CAUSES[reason])}
    retargeted = Uri(to.scheme, to.user, None, to.host, to.port, cause)
    return [f"<{by}>;index=1", f"<{retargeted}>;index=1.1;mp=1"]
