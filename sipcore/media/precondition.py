"""Preconditions in an SDP (RFC 3312), tolerated: this relay's own resources are always there.

IMS trunks ask for them. Each leg by itself: what one side asks is answered here, and not passed on;
the callee rings meanwhile. Knows the status lines of quality of service, no other kind.
"""

from sipcore.message.sdp import Sdp, attributes

MARK = b"a=curr:qos "
BOTH_WAYS = "sendrecv"
DIRECTIONS = ("none", "send", "recv", BOTH_WAYS)


def answers(offer: Sdp) -> tuple[tuple[str, ...], ...]:
    """Return what the answer says to each m-line of an offer; nothing to one that asks nothing."""
    return tuple(_answer(media.lines) for media in offer.media)


def _answer(lines: tuple[str, ...]) -> tuple[str, ...]:
    current = dict(_words(value) for value in attributes(lines, "curr"))
    if "local" not in current:  # end to end, or nothing: no claim of ours
        return ()
    theirs = current["local"]
    said = [
        f"a=curr:qos local {BOTH_WAYS}",
        f"a=curr:qos remote {theirs}",
        f"a=des:qos mandatory local {BOTH_WAYS}",
        f"a=des:qos mandatory remote {BOTH_WAYS}",
    ]
    if theirs != BOTH_WAYS:
        said.append(f"a=conf:qos remote {BOTH_WAYS}")  # tell us when: an UPDATE (RFC 3312 7)
    return tuple(said)


def _words(value: str) -> tuple[str, str]:
    """Read `qos local none` as (local, none); what is no such thing as ("", "")."""
    words = value.split()
    is_known = len(words) == 3 and words[0] == "qos" and words[2] in DIRECTIONS
    return (words[1], words[2]) if is_known else ("", "")
