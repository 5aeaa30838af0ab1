"""Privacy: what a caller wishes to keep to himself (RFC 3323, 3325)."""

from sipcore.message.message import Message

WISHES = frozenset({"id", "user", "header", "session"})


def wishes_of(message: Message) -> frozenset[str]:
    """Return what is wished for, with "critical" where the call is to fail rather than show it.

    "none" forbids all of it; what nobody knows is no wish.
    """
    rows = message.headers.get("Privacy")
    if not rows:
        return frozenset()
    said = {
        word.strip().lower() for row in rows for part in row.split(",") for word in part.split(";")
    }
    if "none" in said:
        return frozenset()
    return frozenset(said & (WISHES | {"critical"}))


def hides_number(wishes: frozenset[str]) -> bool:
    """Tell whether the caller's number is to be hidden from those who are not trusted."""
    return bool(wishes & {"id", "user", "header"})
