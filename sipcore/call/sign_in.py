"""Who sent a request: a carrier or a trunk by its address, else digest (service.md section 1)."""

from msgspec import Struct

from sipcore.clock import Clock
from sipcore.ids import Ids
from sipcore.message.digest import (
    ALGORITHMS,
    Credentials,
    Nonces,
    challenge,
    is_right,
    parse_credentials,
)
from sipcore.message.message import Headers, Request
from sipcore.policy.book import Book, Identity

NOBODY_HA1 = "0" * 64  # compared against for unknown users, so that they take the same time


class Unproven(Struct, frozen=True):
    """No valid credentials. `headers` carry the challenges; `is_wrong`: a password was wrong."""

    headers: Headers
    is_wrong: bool = False


class SignIn:
    """Digest for one realm (RFC 8760). Known and unknown users get the same, in the same time."""

    def __init__(
        self, realm: str, algorithms: tuple[str, ...], key: bytes, clock: Clock, ids: Ids
    ) -> None:
        self._realm = realm
        self._algorithms = algorithms
        self._nonces = Nonces(key)
        self._clock = clock
        self._ids = ids

    def identify(
        self, book: Book, request: Request, source: str, domain: str
    ) -> Identity | Unproven:
        """Check the credentials of a request. `domain` is that of To (REGISTER) or From.

        Raises BadMessage for credentials that cannot be read.
        """
        credentials = self._credentials(request)
        if credentials is None:
            return Unproven(self._challenges(self._expected(book, request, domain), source))
        identity = book.identity(credentials.username, domain)
        offered = (identity.digest if identity else ()) or self._algorithms
        ha1 = None
        if identity is not None and credentials.algorithm in offered:
            ha1 = identity.ha1(credentials.algorithm, credentials.username)
        if not is_right(credentials, request.method, ha1 or NOBODY_HA1) or ha1 is None:
            return Unproven(self._challenges(identity, source), is_wrong=True)
        if not self._nonces.check(credentials, source, self._clock.wall_s()):
            return Unproven(self._challenges(identity, source, is_stale=True))
        assert identity is not None
        return identity

    def _credentials(self, request: Request) -> Credentials | None:
        """Return the first credentials for our realm that we can check."""
        for name in ("Authorization", "Proxy-Authorization"):
            for row in request.headers.get(name, ()):
                credentials = parse_credentials(row)
                if (
                    credentials is not None
                    and credentials.realm == self._realm
                    and credentials.algorithm in ALGORITHMS
                    and credentials.qop in ("", "auth")
                ):
                    return credentials
        return None

    def _expected(self, book: Book, request: Request, domain: str) -> Identity | None:
        """Guess who will sign in, for the order of algorithms that the device was given."""
        address = request.to if request.method == "REGISTER" else request.from_
        return book.identity(address.uri.user or "", domain)

    def _challenges(
        self, identity: Identity | None, source: str, *, is_stale: bool = False
    ) -> Headers:
        algorithms = (identity.digest if identity else ()) or self._algorithms
        nonce = self._nonces.make(source, self._clock.wall_s(), self._ids.token(8))
        return {
            "WWW-Authenticate": [
                challenge(algorithm, self._realm, nonce, is_stale=is_stale)
                for algorithm in algorithms
            ]
        }
