"""Who sent a request: a carrier or a trunk by its address, else digest (service.md section 1).

Guessing is made slow, for the source and for the user guessed at, and nobody learns from an answer
whether a user is there: a throttled request, a wrong password and an unknown user get the same.
"""

from collections.abc import Callable

from msgspec import Struct

from sipcore.call.patience import Patience
from sipcore.clock import Clock
from sipcore.message.digest import (
    ALGORITHMS,
    Credentials,
    Nonces,
    challenge,
    is_right,
    parse_credentials,
)
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from sipcore.policy.book import Book, Identity
from sipcore.transport.guard import Guard, source_of

NOBODY_HA1 = "0" * 64  # compared against for unknown users, so that they take the same time
PAIR_FREE, SOURCE_FREE, USER_FREE = 3, 10, 30  # failures that cost nothing
PAIR_S, SOURCE_S, USER_S = 60.0, 60.0, 8.0  # the longest wait
OF_ONE_PAIR = 3  # failures that count for the source: a phone with an old password is no attack
MOST_HOMES = 10_000  # of each of two generations

IsHome = Callable[[Identity, str], bool]

SHOWN_DIGITS = 7  # extensions have fewer: caller_id.py


class Unproven(Struct, frozen=True):
    """No valid credentials. `headers` carry the challenges; `is_wrong`: a password was wrong."""

    headers: Headers
    is_wrong: bool = False


class SignIn:
    """Digest for one realm (RFC 8760). Known and unknown users get the same, in the same time.

    `is_home` tells whether an identity has a live binding from an address: there its own password
    works whatever others try elsewhere.
    """

    def __init__(self, realm: str, algorithms: tuple[str, ...], key: bytes, clock: Clock) -> None:
        self._realm = realm
        self._algorithms = algorithms
        self._nonces = Nonces(key)
        self._clock = clock
        self._pairs = Patience(PAIR_FREE, PAIR_S)
        self._sources = Patience(SOURCE_FREE, SOURCE_S)
        self._users = Patience(USER_FREE, USER_S)
        self._homes: set[str] = set()  # source and user of who signed in of late, two generations
        self._older_homes: set[str] = set()
        self.guard: Guard | None = None
        self.is_home: IsHome = lambda identity, address: False
        self.throttled_count = 0

    def identify(
        self, book: Book, request: Request, flow: Flow, domain: str
    ) -> Identity | Unproven:
        """Check the credentials of a request. `domain` is that of To (REGISTER) or From.

        Raises BadMessage for credentials that cannot be read.
        """
        source = flow.remote_address
        credentials = self._credentials(request)
        if credentials is None:
            return self._ask(book, request, flow, domain)
        identity = book.identity(credentials.username, domain)
        offered = self._offered(book, identity, credentials.username)
        ha1 = None
        if identity is not None and credentials.algorithm in offered:
            ha1 = identity.ha1(credentials.algorithm, credentials.username)
        is_proven = is_right(credentials, request.method, ha1 or NOBODY_HA1) and ha1 is not None
        user = _name(identity, credentials.username, domain)
        if self._must_wait(identity, user, source):
            self.throttled_count += 1
            self._note_waiting(credentials, user, source, is_unknown=identity is None)
            return Unproven(self._challenges(offered, source), is_wrong=True)
        if not is_proven or identity is None:
            self._note_wrong(credentials, user, source, is_unknown=identity is None)
            return Unproven(self._challenges(offered, source), is_wrong=True)
        if not self._nonces.check(credentials, source, self._clock.wall_s()):
            return Unproven(self._challenges(offered, source, is_stale=True))
        self._note_right(user, source)
        return identity

    def is_real(self, request: Request, flow: Flow) -> bool:
        """Tell whether a request shows that its source is no made-up one: it came by a connection,
        or under a nonce that was sent there. Raises BadMessage."""
        if flow.is_reliable:
            return True
        credentials = self._credentials(request)
        return credentials is not None and self.sent_nonce(credentials.nonce, flow.remote_address)

    def sent_nonce(self, nonce: str, address: str) -> bool:
        """Tell whether a nonce was sent to an address of late."""
        return self._nonces.is_ours(nonce, address, self._clock.wall_s())

    def _ask(self, book: Book, request: Request, flow: Flow, domain: str) -> Unproven:
        """Challenge one who showed nothing. The order of algorithms is that of whom he names."""
        source = flow.remote_address
        address = request.to if request.method == "REGISTER" else request.from_
        user = address.uri.user or ""
        identity = book.identity(user, domain)
        if identity is None and request.method != "REGISTER" and _is_number_shown(user):
            return Unproven(self._challenges(self._algorithms, source))
        if identity is None and self.guard is not None:
            now = self._clock.monotonic()
            self.guard.name_unknown(source, user, now, is_real=flow.is_reliable)
        return Unproven(self._challenges(self._offered(book, identity, user), source))

    def _must_wait(self, identity: Identity | None, user: str, source: str) -> bool:
        """Tell whether it is too early to look at a password: from there, or for that user."""
        if not self._pairs:  # nobody has guessed wrong for ten minutes and more
            return False
        now, place = self._clock.monotonic(), _place(source)
        pair = f"{place} {user}"
        if self._pairs.must_wait(pair, now):
            return True
        if self._is_at_home(pair) or (identity is not None and self.is_home(identity, source)):
            return False
        return self._sources.must_wait(place, now) or self._users.must_wait(user, now)

    def _is_at_home(self, pair: str) -> bool:
        return pair in self._homes or pair in self._older_homes

    def _note_wrong(
        self, credentials: Credentials, user: str, source: str, *, is_unknown: bool
    ) -> None:
        """Count a wrong password where the nonce proves that the source is no made-up one."""
        if not self._nonces.is_ours(credentials.nonce, source, self._clock.wall_s()):
            return
        now, place = self._clock.monotonic(), _place(source)
        pair = f"{place} {user}"
        self._pairs.fail(pair, now)
        self._users.fail(user, now)
        is_news = self._pairs.count(pair, now) <= OF_ONE_PAIR
        if is_news:
            self._sources.fail(place, now)
        if self.guard is not None:
            if is_news:
                self.guard.guess_wrong(source, now)
            if is_unknown:
                self.guard.name_unknown(source, user, now, is_real=True)

    def _note_waiting(
        self, credentials: Credentials, user: str, source: str, *, is_unknown: bool
    ) -> None:
        """Who must wait and asks for more and more users is scanning."""
        is_real = self._nonces.is_ours(credentials.nonce, source, self._clock.wall_s())
        if is_unknown and is_real and self.guard is not None:
            self.guard.name_unknown(source, user, self._clock.monotonic(), is_real=True)

    def _note_right(self, user: str, source: str) -> None:
        pair = f"{_place(source)} {user}"
        if len(self._homes) >= MOST_HOMES:
            self._homes, self._older_homes = set(), self._homes
        self._homes.add(pair)
        if self._pairs:
            self._pairs.forgive(pair)
        if self.guard is not None:
            self.guard.prove(source, self._clock.monotonic())

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

    def _offered(self, book: Book, identity: Identity | None, user: str) -> tuple[str, ...]:
        """Return the algorithms for a user. One who is unknown gets what one of the known gets:
        always the same, chosen by a hash that nobody outside can compute."""
        if identity is not None:
            return identity.digest or self._algorithms
        if not book.has_own_digests:
            return self._algorithms
        return book.digest_like(int(self._nonces.mark(user)[:12], 16)) or self._algorithms

    def _challenges(
        self, offered: tuple[str, ...], source: str, *, is_stale: bool = False
    ) -> Headers:
        nonce = self._nonces.make(source, self._clock.wall_s())
        return {
            "WWW-Authenticate": [
                challenge(algorithm, self._realm, nonce, is_stale=is_stale) for algorithm in offered
            ]
        }


def _is_number_shown(user: str) -> bool:
    """Tell a number that a phone or PBX shows as its caller's: it names nobody who signs in, and
    old devices must be asked as all are."""
    return len(user) >= SHOWN_DIGITS or not user.isdigit()


def _place(source: str) -> str:
    """Return whom a source stands for: an IPv6 host has all of a /64 to guess from."""
    return source_of(source) if ":" in source else source


def _name(identity: Identity | None, username: str, domain: str) -> str:
    """Return the key of a user: the same for the short and the long form of one who is known."""
    if identity is not None:
        return f"{identity.customer} {identity.user}"
    return f"{username} {domain}".lower()[:128]
