"""The client's half of digest (RFC 7616, 8760): challenges read, requests signed. Pure.

A Signer holds a password: it is shown by nothing here, and no error quotes it.
"""

from collections.abc import Callable

from msgspec import Struct

from sipcore.errors import BadMessage
from sipcore.message.digest import ALGORITHMS, Credentials, digest_fields, ha1, response_of
from sipcore.message.message import Headers, Request, Response
from sipcore.message.values import quote

_ANSWERED_IN = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
_MOST_IN_A_ROW = 3  # a server that always finds the nonce stale is not humoured for ever
_MOST_REALMS = 4
_CNONCE_CHARS = 16

CHALLENGED = frozenset({401, 407})


class Challenge(Struct, frozen=True, gc=False):
    """What a server asks for. `header`: where the answer goes. `qop` is empty, as in RFC 2069,
    or "auth"."""

    header: str
    realm: str
    nonce: str
    algorithm: str
    qop: str
    opaque: str | None
    is_stale: bool


class _Known(Struct):
    """A challenge in use. `is_proven`: something that was signed with it was let through."""

    challenge: Challenge
    count: int = 0
    is_proven: bool = False


def read_challenges(response: Response) -> list[Challenge]:
    """Return, for each realm, the topmost challenge that can be answered (RFC 8760 2.4).

    What cannot be read, or names another algorithm or protection, is passed over.
    """
    found: dict[tuple[str, str], Challenge] = {}
    for name, header in _ANSWERED_IN.items():
        for row in response.headers.get(name, ()):
            one = _read(row, header)
            if one is not None and len(found) < _MOST_REALMS:
                found.setdefault((header, one.realm), one)
    return list(found.values())


def _read(row: str, header: str) -> Challenge | None:
    try:
        fields = digest_fields(row)
    except BadMessage:
        return None
    if fields is None or "realm" not in fields or not fields.get("nonce"):
        return None
    algorithm = fields.get("algorithm", "MD5").upper()
    offered = [one.strip().lower() for one in fields.get("qop", "").split(",") if one.strip()]
    if algorithm not in ALGORITHMS or (offered and "auth" not in offered):
        return None
    return Challenge(
        header,
        fields["realm"],
        fields["nonce"],
        algorithm,
        "auth" if offered else "",
        fields.get("opaque"),
        fields.get("stale", "").lower() == "true",
    )


class Signer:
    """Signs requests of one user. `token(n)` draws n random characters, for cnonces."""

    def __init__(self, user: str, password: str, token: Callable[[int], str]) -> None:
        self._user = user
        self._password = password
        self._token = token
        self._known: dict[tuple[str, str], _Known] = {}
        self.shown: Headers = {}  # with the last INVITE: its ACK shows the same (RFC 3261 13.2.2.4)
        self._in_a_row = 0

    def __repr__(self) -> str:
        return f"<Signer {self._user}>"

    def learn(self, response: Response) -> bool:
        """Take the challenges of a 401 or 407. False: signing again would be of no use.

        That is so where nothing can be answered, or where what was signed with a new nonce is
        challenged again: the password is wrong. A nonce that was good before may be replaced.
        """
        self._in_a_row += 1
        challenges = read_challenges(response)
        is_refused = any(self._is_refusal(one) for one in challenges)
        for one in challenges:
            self._known[one.header, one.realm] = _Known(one)
        if is_refused or not challenges or self._in_a_row > _MOST_IN_A_ROW:
            self.forget()
            return False
        return True

    def _is_refusal(self, challenge: Challenge) -> bool:
        known = self._known.get((challenge.header, challenge.realm))
        if known is None or not known.count or challenge.is_stale:
            return False
        return not known.is_proven or known.challenge.nonce == challenge.nonce

    def accepted(self) -> None:
        """Take note that a request was let through: its nonces serve on (RFC 7616 3.4)."""
        self._in_a_row = 0
        for one in self._known.values():
            one.is_proven = one.count > 0

    def forget(self) -> None:
        """Begin anew: the next request goes out unsigned."""
        self._known.clear()
        self._in_a_row = 0

    def sign(self, request: Request) -> None:
        """Put credentials for every challenge known into a request, in place of any there."""
        for header in _ANSWERED_IN.values():
            request.headers.pop(header, None)
        for known in self._known.values():
            known.count += 1
            row = self._answer(known, request)
            request.headers.setdefault(known.challenge.header, []).append(row)
        if request.method == "INVITE":
            names = _ANSWERED_IN.values()
            self.shown = {one: request.headers[one] for one in names if one in request.headers}

    def _answer(self, known: _Known, request: Request) -> str:
        asked = known.challenge
        count = f"{known.count:08x}" if asked.qop else ""
        cnonce = self._token(_CNONCE_CHARS) if asked.qop else ""
        bare = Credentials(
            self._user, asked.realm, asked.nonce, request.uri, "", asked.algorithm, asked.qop,
            count, cnonce,
        )  # fmt: skip
        secret = ha1(asked.algorithm, self._user, asked.realm, self._password)
        parts = [
            f"Digest username={quote(self._user)}",
            f"realm={quote(asked.realm)}",
            f"nonce={quote(asked.nonce)}",
            f"uri={quote(request.uri)}",
            f'response="{response_of(bare, request.method, secret)}"',
            f"algorithm={asked.algorithm}",
        ]
        if asked.qop:
            parts += [f"qop={asked.qop}", f"nc={count}", f'cnonce="{cnonce}"']
        if asked.opaque is not None:
            parts.append(f"opaque={quote(asked.opaque)}")
        return ", ".join(parts)
