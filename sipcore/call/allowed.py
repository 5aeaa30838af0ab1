"""The header fields that may leave towards each kind of peer: phones, customers' trunks, carriers.

Messages are written anew on each leg, so nothing of the other side's passes but what stands in
CARRIED, by `carried`. The rest of the table is what this node writes itself: tests hold it to it.
"""

from collections.abc import Mapping
from typing import Final

from sipcore.message.message import Headers, Request

# The only fields whose values pass from one leg to another, by method.
CARRIED: Final[Mapping[str, tuple[str, ...]]] = {
    "INFO": ("Content-Type", "Content-Disposition", "Info-Package"),
    "MESSAGE": ("Content-Type", "Content-Disposition", "Content-Language"),
}

_EACH: Final = frozenset(("Via", "From", "To", "Call-ID", "CSeq", "Content-Length"))
_CALL: Final = frozenset((
    "Contact", "Allow", "Supported", "Require", "Session-Expires", "Min-SE", "Content-Type",
    "Reason", "Accept",
))  # fmt: skip
_REQUEST: Final = _EACH | _CALL | {
    "Max-Forwards", "Route", "RAck", "Content-Disposition", "Content-Language", "Info-Package",
    "Event", "Subscription-State", "P-Asserted-Identity",
}  # fmt: skip
_TRUNK: Final = _REQUEST | {
    "Authorization", "Proxy-Authorization", "P-Preferred-Identity", "Remote-Party-ID",
    "Diversion", "History-Info",
}  # fmt: skip
_RESPONSE: Final = _EACH | _CALL | {
    "Record-Route", "Timestamp", "RSeq", "Unsupported", "Accept-Encoding", "Retry-After",
}  # fmt: skip
_TO_CUSTOMER: Final = _RESPONSE | {
    "WWW-Authenticate", "Expires", "Min-Expires", "Path", "Service-Route", "Date", "Refer-Sub",
}  # fmt: skip

# By kind, in the words of policy.
REQUESTS: Final[Mapping[str, frozenset[str]]] = {
    "extension": _REQUEST | {"Referred-By"},
    "trunk": _TRUNK,
    "carrier": _TRUNK | {"Expires"},
}
RESPONSES: Final[Mapping[str, frozenset[str]]] = {
    "extension": _TO_CUSTOMER,
    "trunk": _TO_CUSTOMER,
    "carrier": _RESPONSE,
}


def carried(request: Request) -> Headers:
    """Return what of a request's fields goes on with it to the other leg."""
    have = request.headers
    return {name: have[name] for name in CARRIED[request.method] if name in have}


def without(allowed: str, method: str) -> str:
    """Return what a 405 says in Allow: not the method that it refuses (RFC 3261 21.4.6)."""
    return ", ".join(one for one in allowed.split(", ") if one != method)
