"""Why a request failed or a call ended: statuses and causes (RFC 3398), Reason (RFC 3326)."""

import re

from sipcore.message.message import Message
from sipcore.message.values import quote, split_commas

# RFC 3398 8.2.6.1, and 7.2.4.1 read backwards where a status has no row there.
CAUSES = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41,
    482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 487: 16, 488: 88, 491: 41, 500: 41, 501: 79,
    502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1, 606: 88,
}  # fmt: skip

# RFC 3398 7.2.4.1. 16 and 31 end a call that is up; before, nothing more is known than that.
STATUSES = {
    1: 404, 2: 404, 3: 404, 16: 480, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410,
    23: 410, 26: 404, 27: 502, 28: 484, 29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503,
    47: 503, 55: 403, 57: 403, 58: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504,
    111: 500, 127: 500,
}  # fmt: skip

# What is so of the callee, by whatever way it is tried: another carrier would find the same.
OF_THE_CALLEE = frozenset({1, 17, 18, 19, 21, 22, 23, 26, 28})

COMPLETED_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
MOST_CAUSE = {"q.850": 127, "sip": 699}

_CAUSE = re.compile(r';[ \t]*cause[ \t]*=[ \t]*"?([0-9]{1,3})(?![0-9])', re.IGNORECASE)


def q850_of(status: int) -> int:
    """Return the Q.850 cause for a final status: 16 for a call that went well."""
    return 16 if status < 300 else CAUSES.get(status, 31)


def status_of(cause: int) -> int:
    """Return the final status for a Q.850 cause that came before the answer; 500 for others."""
    return STATUSES.get(cause, 500)


def cause_in(message: Message, protocol: str) -> int | None:
    """Return the cause that a message gives in the words of `protocol`, "Q.850" or "SIP"."""
    most = MOST_CAUSE[protocol.lower()]
    for row in message.headers.get("Reason", ()):
        for value in split_commas(row):
            name, _, params = value.partition(";")
            match = _CAUSE.search(";" + params)
            if name.strip().lower() == protocol.lower() and match and int(match[1]) <= most:
                return int(match[1])
    return None


def q850_in(message: Message) -> int | None:
    """Return the Q.850 cause that a message gives, if any."""
    return cause_in(message, "Q.850")


def why_cancelled(message: Message) -> str | None:
    """Return the Reason for those who still ring, from what ended it: CANCEL, BYE.

    Answered elsewhere is no missed call (RFC 3326 2): phones must hear of it, whoever forked.
    """
    if cause_in(message, "SIP") == 200:
        return COMPLETED_ELSEWHERE
    cause = q850_in(message)
    return None if cause is None else write_q850(cause)


def write_q850(cause: int, text: str = "") -> str:
    """Write a Reason value."""
    return f"Q.850;cause={cause};text={quote(text)}" if text else f"Q.850;cause={cause}"
