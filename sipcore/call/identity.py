"""What a request says of who calls, and of whom: numbers in URIs and identity headers."""

from sipcore.errors import BadMessage
from sipcore.message.message import Request
from sipcore.message.privacy import hides_number, wishes_of
from sipcore.message.uri import Uri

_IDENTITIES = ("P-Asserted-Identity", "P-Preferred-Identity")


def asserted(request: Request) -> str | None:
    """Return the number that the caller says is his; None where he says none.

    P-Asserted-Identity, else P-Preferred-Identity, else From. An anonymous
    From asserts nothing.
    """
    headers = request.headers
    for name in _IDENTITIES if not headers.keys().isdisjoint(_IDENTITIES) else ():
        for address in request.addresses(name):
            if address.uri.scheme in ("sip", "sips", "tel") and address.uri.user:
                return number_in(address.uri)
    uri = request.from_.uri
    if uri.user and uri.user.lower() != "anonymous" and "anonymous.invalid" not in uri.host.lower():
        return number_in(uri)
    return None


def privacy(request: Request) -> tuple[bool, bool]:
    """Tell whether the caller's number is to be hidden, and whether the call is to fail else."""
    wishes = wishes_of(request)
    return hides_number(wishes), hides_number(wishes) and "critical" in wishes


def number_in(uri: Uri) -> str:
    """Return the user part without telephone parameters (`+8621…;npdi`, RFC 3261 19.1.6).

    Raises BadMessage for control characters: escaped, they pass the grammar.
    """
    number = (uri.user or "").partition(";")[0]
    if not number.isprintable():
        raise BadMessage("control characters in a user part")
    return number
