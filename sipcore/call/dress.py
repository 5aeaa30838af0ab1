"""What a peer is told its own way (policy/profile): who calls, in which fields, under which domain.

An INVITE as invite.py writes it goes in and is changed, for a peer that has settings or wants to be
registered with; all others go as they are.
"""

from sipcore.media.codecs import with_codecs, without_events
from sipcore.message.flow import Hop
from sipcore.message.message import Request, Response
from sipcore.message.uri import Uri
from sipcore.message.values import quote
from sipcore.numbering import is_digits
from sipcore.policy.book import Carrier, Peer, Registration
from sipcore.policy.profile import USUAL, Profile

_SCREENED = ";party=calling;screen=yes;privacy=off"


def is_plain(peer: Peer) -> bool:
    """Tell whether a peer gets what most take."""
    return peer.profile is USUAL and registration_of(peer) is None


def registration_of(peer: Peer) -> Registration | None:
    """Return where a peer wants to be registered with; a customer's trunk never does."""
    return peer.registration if isinstance(peer, Carrier) else None


def dress(request: Request, peer: Peer, hop: Hop, caller: tuple[str, str]) -> None:
    """Change an INVITE. `caller` is the number as the peer is told it, and a name or ""."""
    profile, registration = peer.profile, registration_of(peer)
    headers, (number, name) = request.headers, caller
    pilot = number if registration is None else registration.user
    host = profile.from_domain or (registration.domain if registration else None)
    host = _bracketed(host) if host else hop.sent_by.rpartition(":")[0]
    display = f"{quote(name)} " if name else ""
    is_phone = profile.user_phone

    def line(user: str) -> str:
        return f"{display}<{_telephone(Uri(user=user or 'anonymous', host=host), is_phone)}>"

    tag = request.from_.tag or ""
    headers["From"] = [f"{line(number if 'From' in profile.caller_in else pilot)};tag={tag}"]
    if number:
        del headers["P-Asserted-Identity"]
        for field in profile.caller_in:
            if field != "From":
                screened = _SCREENED if field == "Remote-Party-ID" else ""
                headers[field] = [line(number) + screened]
    if is_phone:
        request.uri = str(_telephone(Uri.parse(request.uri), is_phone))
        headers["To"] = [f"<{_telephone(request.to.uri, is_phone)}>"]
    if registration is not None:
        headers["Contact"] = [hop.contact(registration.user, Uri.parse(request.uri).scheme)]


def offered(profile: Profile, sdp: bytes) -> bytes:
    """Return an offer to or of a peer with the codecs that it may have. Raises MediaError: none."""
    if profile.codecs and sdp:
        sdp = with_codecs(sdp, profile.codecs)
    return without_events(sdp) if profile.dtmf != "any" and sdp else sdp


def as_heard(peer: Peer, response: Response) -> None:
    """Make of an 18x what it means at this peer: with sound, or ringing alone."""
    profile = peer.profile
    if profile.hears(response.status):
        return
    response.body = b""
    if profile.early_media == "none" and response.status == 183:
        response.status = 180


def _telephone(uri: Uri, is_phone: bool) -> Uri:
    """Say that the user part is a telephone number, where it is one (RFC 3261 19.1.1)."""
    if not is_phone or not is_digits((uri.user or "").removeprefix("+")):
        return uri
    params = uri.params | {"user": "phone"}
    return Uri(uri.scheme, uri.user, uri.password, uri.host, uri.port, params)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and host[0] != "[" else host
