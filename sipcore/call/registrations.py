"""Where this node is registered: all carriers that want it, and who sends from their addresses.

What is provisioned stands in the Book; this follows it from one snapshot to the next.
"""

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from sipcore.call.registering import Registering, Start
from sipcore.dialog.registration import REGISTERED, Registration, Terms
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.message.signer import Signer
from sipcore.message.uri import Uri
from sipcore.metrics import Metrics
from sipcore.policy.book import Book, Carrier
from sipcore.transport.guard import source_of

SecretOf = Callable[[str, str], str | None]  # sealed, whose
HasPhones = Callable[[Flow, bool], bool]  # from there: from this very place, from this address

_log = logger(__name__)


LINE_CHARS = 16  # of our Contact's line: the same after a restart, so that no old Contact stays


class Needs(Struct, frozen=True):
    """What Trunks is handed. `secret_of` opens a sealed password."""

    endpoint: Endpoint
    metrics: Metrics
    ids: Ids
    secret_of: SecretOf
    start: Start


class Registrations:
    """One per node. Make it inside the running loop. `changed` is called with a carrier's id.

    `has_phones` tells whether phones have signed in by a flow: from its very place along a Path
    (True), or from its address (False).
    """

    def __init__(self, needs: Needs, changed: Callable[[str], None], has_phones: HasPhones) -> None:
        self._needs = needs
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._book: Book | None = None
        self._wants: dict[str, Carrier] = {}  # as they were when they were registered
        self._registering: dict[str, Registering] = {}
        self._leaving: list[Registering] = []  # of carriers that are no more
        self._at: dict[str, list[str]] = {}  # address: carriers that have granted us something
        self._has_phones = has_phones

    def follow(self, book: Book) -> None:
        """Register with the carriers of a book; leave those that are no more, or changed."""
        self._book = book
        for id_, was in list(self._wants.items()):
            now = book.carriers.get(id_)
            if now is None or (now.uri, now.registration) != (was.uri, was.registration):
                self._drop(id_, now)
        for carrier in book.carriers.values():
            if carrier.registration is not None and carrier.id not in self._wants:
                self._register(carrier)

    def renew(self) -> None:
        """Tell carriers where we are now, as far as that has changed."""
        for one in self._registering.values():
            one.renew()

    def leave(self) -> None:
        """Unregister everywhere: no more calls are wanted."""
        for one in self._registering.values():
            one.leave()

    @property
    def is_settled(self) -> bool:
        """True when no registration is on its way out."""
        return not any(one.is_leaving for one in (*self._registering.values(), *self._leaving))

    def close(self) -> None:
        """Let go of all timers."""
        for one in (*self._registering.values(), *self._leaving):
            one.close()

    def is_at(self, address: str) -> bool:
        """Tell whether we are registered at an address, or within a /64."""
        if address.endswith("/64"):
            return any(source_of(one) == address for one in self._at)
        return address in self._at

    def addresses(self) -> set[str]:
        """Return where we are registered now."""
        return set(self._at)

    def carrier_at(self, flow: Flow, called: Uri, known: Carrier | None) -> Carrier | None:
        """Return the carrier that a request comes from where we are registered; else `known`.

        Whom it is for tells several behind one address apart: the line of our Contact, which nobody
        else knows, else the user that we registered. Where phones come from the carrier's address,
        too (it is an edge, or stands behind the same NAT), the line is asked for, or the very place
        of its registrar, where that is no edge.
        """
        found = self._at.get(flow.remote_address)
        if found is None or self._book is None:
            return known
        live = [id_ for id_ in found if self._registering[id_].address == flow.remote_address]
        line = called.params.get("line")
        named = [id_ for id_ in live if line and line == self._registering[id_].line]
        if not named:
            user = (called.user or "").partition(";")[0]
            live = [id_ for id_ in live if not self._is_shared(id_, flow)]
            named = [id_ for id_ in live if self._user(id_) == user]
        if not named and (known is not None or not live):
            return known
        return self._book.carriers.get((named or live)[0], known)

    def _is_shared(self, carrier: str, flow: Flow) -> bool:
        """Tell whether a flow from a carrier's address may as well be one of phones."""
        return self._has_phones(flow, self._registering[carrier].is_at(flow))

    def service_route(self, carrier: str) -> tuple[str, ...]:
        """Return the route that a carrier wants our requests to take (RFC 3608)."""
        one = self._registering.get(carrier)
        if one is None or one.address is None:
            return ()
        return one.registration.service_route

    def is_unregistered(self, carrier: str) -> bool:
        """Tell whether a carrier wants to be registered with, and is not."""
        one = self._registering.get(carrier)
        return carrier in self._wants and (one is None or one.address is None)

    def is_shaky(self, carrier: str) -> bool:
        """Tell whether the last REGISTER to a carrier failed, or is out."""
        one = self._registering.get(carrier)
        return one is not None and one.registration.state != REGISTERED

    def describe(self, carrier: str) -> str:
        """Say how the registration with a carrier stands; "" where none is wanted."""
        one = self._registering.get(carrier)
        if one is None:
            return ""
        left_s = one.registration.registered_until - self._loop.time()
        said = f"registered {left_s:.0f} s" if one.address is not None else one.registration.state
        return f"{said}: {one.registration.reason}" if one.registration.reason else said

    def _user(self, carrier: str) -> str:
        return self._registering[carrier].registration.terms.user

    def _register(self, carrier: Carrier) -> None:
        wish, needs = carrier.registration, self._needs
        assert wish is not None
        self._wants[carrier.id] = carrier
        secret = needs.secret_of(wish.secret, carrier.id)
        if secret is None:
            _log.error("carrier=%s its password cannot be opened: import it again", carrier.id)
            return
        signer = Signer(wish.auth_user or wish.user, secret, needs.ids.token)
        line = hashlib.sha256(
            f"{carrier.id} {wish.user}@{wish.domain} {secret}".encode()
        ).hexdigest()
        terms = Terms(wish.user, wish.domain, wish.expires_s)
        registration = Registration(terms, signer, needs.ids.token, needs.ids.fraction)
        one = Registering(
            carrier.id,
            (carrier.uri, line[:LINE_CHARS]),
            registration,
            needs.endpoint,
            (needs.start, partial(self._took, carrier.id)),
        )
        self._registering[carrier.id] = one
        self._changed(carrier.id)
        one.begin()

    def _took(self, carrier: str, result: str) -> None:
        """A REGISTER has ended: count it, and see anew where we are registered."""
        self._needs.metrics.count_trunk_registration(result)
        self._leaving = [one for one in self._leaving if not one.is_gone]
        self._reindex()
        self._changed(carrier)

    def _reindex(self) -> None:
        self._at = {}
        for id_, one in self._registering.items():
            if one.address is not None:
                self._at.setdefault(one.address, []).append(id_)

    def _drop(self, id_: str, now: Carrier | None) -> None:
        """Let a registration go; one that begins anew under the same name is not taken away."""
        was = self._wants.pop(id_).registration
        one = self._registering.pop(id_, None)
        if one is None:
            return
        wish = None if now is None else now.registration
        if wish is not None and was is not None and wish.user == was.user:
            one.close()
        else:
            self._leaving.append(one)
            one.leave()
        self._reindex()
