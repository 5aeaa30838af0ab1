"""The node's carriers and trunks as they are now: registered, there, doing well.

Joins what is known of them to one order of merit, which decide() takes. What is provisioned stands
in the Book.
"""

import asyncio
from collections.abc import Mapping, Sequence

from sipcore.call.probing import Probing
from sipcore.call.registrations import HasPhones, Needs, Registrations
from sipcore.log import logger
from sipcore.message.flow import Hop
from sipcore.message.signer import Signer
from sipcore.message.uri import Uri
from sipcore.policy.book import Book, Carrier, Peer, Trunk
from sipcore.policy.standing import (
    ALL_GOOD,
    DOWN,
    GOOD,
    UNREGISTERED,
    WORDS,
    Figures,
    Result,
    Standing,
)
from sipcore.transport.guard import source_of
from sipcore.transport.resolve import plain_address

REACHED_S = 7200.0  # after the last call that went there
REACHED_STEP_S = 60.0  # how exactly that is known
MOST_REACHED = 10_000

_log = logger(__name__)


class Trunks:
    """One per node. Make it inside the running loop."""

    def __init__(self, needs: Needs, has_phones: HasPhones) -> None:
        self._needs = needs
        self._loop = asyncio.get_running_loop()
        self._probing: dict[str, Probing] = {}  # by "carrier:id" or "trunk:id"
        self._standings: dict[str, Standing] = {}  # by carrier
        self._doubtful: set[str] = set()  # carriers that may not be GOOD: few, mostly none
        self._places: dict[str, frozenset[str]] = {}  # addresses by the URI of who is there
        self._named: dict[str, Uri] = {}  # URIs whose addresses the DNS tells, by their text
        self._reached: dict[str, float] = {}  # addresses that calls went to, until when they count
        self.registrations = Registrations(needs, self._doubtful.add, has_phones)

    def follow(self, book: Book) -> None:
        """Take a book: register, ask, forget. What has not changed goes on."""
        self.registrations.follow(book)
        peers: list[tuple[str, Carrier | Trunk]] = [
            *((f"carrier:{one.id}", one) for one in book.carriers.values()),
            *((f"trunk:{one.id}", one) for one in book.trunks.values()),
        ]
        wanted = {who: one for who, one in peers if one.health_s and one.uri is not None}
        for who, probing in list(self._probing.items()):
            one = wanted.get(who)
            if one is None or (one.uri, one.health_s) != (probing.uri, probing.health.interval_s):
                self._probing.pop(who).close()
        for who, one in wanted.items():
            if who not in self._probing:
                self._probe(who, one)
        self._doubtful &= book.carriers.keys()
        for id_, standing in list(self._standings.items()):
            carrier = book.carriers.get(id_)
            if carrier is None or carrier.demote != standing.limits:
                del self._standings[id_]
        for carrier in book.carriers.values():
            self._standings.setdefault(carrier.id, Standing(carrier.demote))
        self._look_for({one.uri for _, one in peers if one.uri is not None})

    def is_peer(self, address: str) -> bool:
        """Tell whether a carrier or trunk that we call is at an address."""
        return (
            self.registrations.is_at(address)
            or self.is_reached(address)
            or any(address in places for places in self._places.values())
        )

    def _look_for(self, uris: set[str]) -> None:
        """Know where URIs lead: addresses at once, names soon."""
        self._places = {uri: self._places[uri] for uri in uris & self._places.keys()}
        new = {uri: Uri.parse(uri) for uri in uris - self._places.keys()}
        for text, uri in new.items():
            self._places[text] = frozenset((plain_address(uri.address),))
        is_name = {text: not plain_address(uri.address) for text, uri in new.items()}
        names = {text: uri for text, uri in new.items() if is_name[text] or "maddr" in uri.params}
        self._named = {uri: self._named[uri] for uri in uris & self._named.keys()} | names
        if names:
            self._needs.start(self._look_up(names))

    def look_again(self) -> None:
        """Look up where names lead: that changes, and servers may have been away."""
        if self._named:
            self._needs.start(self._look_up(self._named))

    async def _look_up(self, names: Mapping[str, Uri]) -> None:
        for text, uri in names.items():
            hops = await self._needs.endpoint.hops_to(uri)
            if hops and text in self._places:
                self._places[text] = frozenset(hop.flow.remote_address for hop in hops)

    def leave(self) -> None:
        """Unregister everywhere: no more calls are wanted."""
        self.registrations.leave()

    def close(self) -> None:
        """Let go of all timers."""
        self.registrations.close()
        for one in self._probing.values():
            one.close()

    def not_good(self) -> Mapping[str, int]:
        """Return how those carriers stand that are not GOOD, for decide(). Costs nothing else."""
        if not self._doubtful:
            return ALL_GOOD
        levels = {id_: self.level(id_) for id_ in self._doubtful}
        shaky = self.registrations.is_shaky  # what is held may end without anybody telling
        self._doubtful -= {one for one, level in levels.items() if level == GOOD and not shaky(one)}
        return {id_: level for id_, level in levels.items() if level != GOOD}

    def level(self, carrier: str) -> int:
        """Return how a carrier stands: the worst of what is known of it."""
        probing = self._probing.get(f"carrier:{carrier}")
        if probing is not None and not probing.health.is_up:
            return DOWN
        if self.registrations.is_unregistered(carrier):
            return UNREGISTERED
        standing = self._standings.get(carrier)
        return GOOD if standing is None else standing.level(self._loop.time())

    def begin(self, carrier: str) -> bool:
        """A call goes to a carrier. Tell what is returned to `end`: whether it is a trial."""
        standing = self._standings.get(carrier)
        return standing is not None and standing.begin(self._loop.time())

    def end(self, carrier: str, result: Result, setup_s: float, *, is_trial: bool) -> None:
        """A call at a carrier was answered or not; `setup_s` as in Standing.end."""
        standing = self._standings.get(carrier)
        if standing is None:
            return
        before = standing.demotions
        standing.end(result, setup_s, self._loop.time(), is_trial=is_trial)
        if standing.demotions != before:
            self._doubtful.add(carrier)
            self._needs.metrics.carrier_demotions.inc()
            _log.warning("carrier=%s is demoted: %s", carrier, standing.reason)

    def expect(self, hops: Sequence[Hop]) -> None:
        """Take note that a call goes to a peer: from there it is answered, listed or not."""
        reached, until = self._reached, self._loop.time() + REACHED_S
        for hop in hops:
            address = hop.flow.remote_address
            if reached.get(address, 0.0) < until - REACHED_STEP_S:
                reached.pop(address, None)  # the oldest come first
                reached[address] = until
                if len(reached) > MOST_REACHED:
                    del reached[next(iter(reached))]

    def is_reached(self, address: str) -> bool:
        """Tell whether a call of late went to a peer at an address, or within a /64."""
        if address.endswith("/64"):
            v6 = [one for one in self._reached if ":" in one]
            return any(source_of(one) == address and self.is_reached(one) for one in v6)
        until = self._reached.get(address)
        return until is not None and until > self._loop.time()

    def signer(self, peer: Peer) -> Signer | None:
        """Return who signs our requests to a peer that asks for credentials; None: nobody."""
        wish = peer.registration if isinstance(peer, Carrier) else None
        needs, login = self._needs, peer.login
        if login is not None:
            user, secret = login.user, login.secret
        elif wish is not None:
            user, secret = wish.auth_user or wish.user, wish.secret
        else:
            return None
        password = needs.secret_of(secret, peer.id)
        return None if password is None else Signer(user, password, needs.ids.token)

    def state(self, carrier: str) -> str:
        """Return how a carrier stands, as a word."""
        return WORDS[self.level(carrier)]

    def reason(self, carrier: str) -> str:
        """Say why a carrier stands as it does, and how it is registered."""
        standing = self._standings.get(carrier)
        said = (self.registrations.describe(carrier), standing.reason if standing else "")
        return "; ".join(filter(None, said))

    def figures(self, carrier: str) -> Figures:
        """Return what became of a carrier's calls in its window."""
        standing = self._standings.get(carrier)
        return Figures() if standing is None else standing.figures(self._loop.time())

    def is_up(self, who: str) -> bool | None:
        """Tell whether "carrier:ID" or "trunk:ID" answers; None for one that is not asked."""
        probing = self._probing.get(who)
        return None if probing is None else probing.health.is_up

    @property
    def trunks_down(self) -> int:
        """How many customers' trunks do not answer."""
        probed = self._probing.items()
        return sum(not one.health.is_up for who, one in probed if who.startswith("trunk:"))

    def _probe(self, who: str, peer: Carrier | Trunk) -> None:
        needs = self._needs
        assert peer.uri is not None
        tools = (needs.endpoint, needs.ids, needs.start)

        def count(is_alive: bool) -> None:
            needs.metrics.count_health_check(is_alive)
            if not is_alive and isinstance(peer, Carrier):
                self._doubtful.add(peer.id)

        probing = Probing(who, peer.uri, peer.health_s, tools, count)
        self._probing[who] = probing
        probing.begin()
