"""The guard before the parser: who may send how much, and who is not heard at all.

A source is an IPv4 address or an IPv6 /64. Told the time; knows addresses and counts, not SIP:
sign_in.py and front.py say what a source has done, and whether that proves its address (`is_real`:
it came by a connection, or under a nonce that was sent there). Only what does is banned for.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv6Address, ip_address

from msgspec import Struct

from sipcore.message.flow import Flow
from sipcore.transport.bans import Ban, Bans
from sipcore.transport.buckets import TokenBucket

MOST_SOURCES = 20_000  # of each of two generations
BURST_S = 5.0  # how much of a second's rate may come at once
WINDOW_S = 600.0  # what a source did is forgotten after it
MOST_NAMES = 30  # different users that nobody here has, asked for in a window
MOST_GUESSES = 50  # wrong passwords in a window
MOST_SCANS = 5  # messages of a known scanner
LARGE = 11  # each 2,048 bytes are dear as a message: lists of thousands can be written into 16 KiB
FLOOD = 25  # a stranger's messages beyond its rate, in windows of a second's rate
MOST_DOUBTS = 30.0  # what a source did under an address that anybody may have written
SLOW_PER_S = 10  # messages of a source in doubt: enough for a phone to register and call
SLOW_S = 60.0
LONGEST_WAIT_S = 0.1  # until an empty bucket is looked at again: who it is may have changed
TELL_S = 900.0  # how often one hears that a known source sends more than a stranger may
PROVEN_S = 7200.0  # who signed in rightly is known for so long: a registration's longest life

Who = tuple[str, ...]  # a customer and a user of his; () for peers, who have limits of their own
Batch = Sequence[tuple[bytes, Flow]]


class Rates(Struct, frozen=True):
    """What one source may do. `known`: listed peers, live bindings, who signed in of late.

    `calls_of_one`: of one who has signed in, from wherever he calls.
    """

    messages_per_s: float = 200.0
    known_messages_per_s: float = 20_000.0
    invites_per_s: float = 100.0
    calls: int = 1000
    calls_of_one: int = 200
    registers_per_s: float = 500.0


class Source:
    """What is remembered of a source. `left`: messages of the `given` until its bucket is filled
    again.

    `names`, `guesses`, `scans`, `over`: what it certainly did itself; `doubts`, `forged`: what
    somebody did in its name.
    """

    __slots__ = (
        "calls", "doubts", "emergencies", "filled_at", "forged", "given", "given_at", "guesses",
        "invites", "key", "left", "names", "over", "proven_until", "registers", "scans",
        "slow_until", "told_at", "waits_until", "window_at",
    )  # fmt: skip

    def __init__(self, key: str, left: int, now: float) -> None:
        self.key = key
        self.left = self.given = left
        self.told_at = -TELL_S
        self.filled_at = self.given_at = now
        self.waits_until = 0.0  # before that nothing has gathered in an empty bucket
        self.proven_until = 0.0
        self.slow_until = 0.0
        self.calls = 0
        self.invites: TokenBucket | None = None
        self.registers: TokenBucket | None = None
        self.emergencies: TokenBucket | None = None
        self._begin(now)

    def _begin(self, now: float) -> None:
        self.window_at = now
        self.over = self.forged = self.guesses = self.scans = 0
        self.doubts = 0.0
        self.names: set[int] | None = None

    def forget_old(self, now: float) -> None:
        """Begin a new window where the last is over."""
        if now - self.window_at > WINDOW_S:
            self._begin(now)


class Counted:
    """One call of a source, and of who has signed in there, while the block lasts."""

    __slots__ = ("_calls_of", "_source", "_who")

    def __init__(self, source: Source, calls_of: dict[Who, int], who: Who) -> None:
        self._source = source
        self._calls_of = calls_of
        self._who = who

    def __enter__(self) -> None:
        self._source.calls += 1
        self._calls_of[self._who] = self._calls_of.get(self._who, 0) + 1

    def __exit__(self, *_: object) -> None:
        self._source.calls -= 1
        self._calls_of[self._who] -= 1
        if not self._calls_of[self._who]:
            del self._calls_of[self._who]


class Guard:
    """One per node. `is_known` tells listed peers and live bindings from strangers: by address,
    and whether any of them is in a /64.

    Known sources have a generous bucket of their own and are never banned. Nor is a stranger for
    what came over UDP without proof, since anybody can write his address: his bucket becomes small
    for a minute. Memory is bounded: what is not seen while 20,000 others are is forgotten.
    `busy` hears of known sources that send more than strangers may.
    """

    def __init__(
        self, is_known: Callable[[str], bool], rates: Rates, most: int = MOST_SOURCES
    ) -> None:
        self._is_known = is_known
        self._rates = rates
        self._most = most
        self._flood = FLOOD * rates.messages_per_s
        self._young: dict[str, Source] = {}
        self._old: dict[str, Source] = {}
        self._calls_of: dict[Who, int] = {}
        self.bans = Bans()
        self.busy: Callable[[str], None] = lambda source: None
        self.dropped = {"banned": 0, "rate": 0}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def sift(self, batch: Batch, now: float) -> Batch:
        """Return those messages of a batch that are let in."""
        young = self._young
        kept = []
        for item in batch:
            data, flow = item
            source = young.get(flow.remote_address)
            if source is not None and source.left > 0:
                source.left -= 1 + (len(data) >> LARGE)
            elif not self._admits(flow.remote_address, now, flow.connection != 0, data):
                continue
            kept.append(item)
        return kept

    def takes(self, address: str, now: float, cost: int = 1, *, is_real: bool) -> bool:
        """Take what never comes to the parser, as so many messages: STUN, a new connection."""
        source = self._young.get(address)
        if source is not None and source.left > 0:
            source.left -= cost  # below 0 the next one waits until that is paid
            return True
        return self._admits(address, now, is_real)

    def is_banned(self, address: str, now: float) -> bool:
        """Tell whether a source is not heard now."""
        return self.bans.until(source_of(address)) > now

    def prove(self, address: str, now: float) -> None:
        """Take note that somebody signed in rightly from there, under a nonce sent there."""
        self._source(address, now).proven_until = now + PROVEN_S

    def is_trusted(self, address: str, now: float) -> bool:
        """Tell known sources from strangers."""
        return self._is_trusted(address, self._source(address, now), now)

    def name_unknown(self, address: str, user: str, now: float, *, is_real: bool) -> None:
        """Take note that a source asked for a user that nobody here is."""
        source = self._source(address, now)
        source.forget_old(now)
        if not is_real:
            self._doubt(source, MOST_DOUBTS / MOST_NAMES, now)
            return
        if source.names is None:
            source.names = set()
        source.names.add(hash(user))
        if len(source.names) >= MOST_NAMES:
            self._ban(address, source, "unknown users", now)

    def guess_wrong(self, address: str, now: float) -> None:
        """Take note of a wrong password, under a nonce that was sent there."""
        source = self._source(address, now)
        source.forget_old(now)
        source.guesses += 1
        if source.guesses >= MOST_GUESSES:
            self._ban(address, source, "wrong passwords", now)

    def scan(self, address: str, now: float, *, is_real: bool) -> None:
        """Take note of a message that says itself to be a scanner's."""
        source = self._source(address, now)
        source.forget_old(now)
        if not is_real:
            self._doubt(source, MOST_DOUBTS / MOST_SCANS, now)
            return
        source.scans += 1
        if source.scans >= MOST_SCANS:
            self._ban(address, source, "scanner", now)

    def takes_invite(self, address: str, now: float, who: Who = ()) -> bool:
        """Take one of a source's INVITEs; False where it has had its rate or its most calls, or
        `who` has signed in there has his."""
        if self._calls_of.get(who, 0) >= self._rates.calls_of_one:
            return False
        source = self._source(address, now)
        if source.invites is None:
            rate = self._rates.invites_per_s
            source.invites = TokenBucket(rate, max(1.0, rate))
        return source.calls < self._rates.calls and source.invites.take(now)

    def takes_emergency(self, address: str, now: float, who: Who) -> bool:
        """Take an emergency call of one who has signed in: as many, as fast, as his others, and
        beside them. A flood of them would keep out whoever is in need."""
        source = self._source(address, now)
        if source.emergencies is None:
            rate = self._rates.invites_per_s
            source.emergencies = TokenBucket(rate, max(1.0, rate))
        is_within = self._calls_of.get(who, 0) < 2 * self._rates.calls_of_one
        return is_within and source.emergencies.take(now)

    def takes_register(self, address: str, now: float) -> bool:
        """Take one of the REGISTERs and SUBSCRIBEs of a source that has signed in: each is kept for
        32 s, and they share the node's rates with others."""
        source = self._source(address, now)
        if source.registers is None:
            rate = self._rates.registers_per_s
            source.registers = TokenBucket(rate, max(1.0, rate * BURST_S))
        return source.registers.take(now)

    def call_of(self, address: str, now: float, who: Who = ()) -> AbstractContextManager[None]:
        """Count a call of a source, and of who has signed in there, while the block lasts."""
        return Counted(self._source(address, now), self._calls_of, who)

    def unban(self, text: str, now: float) -> bool:
        """Lift the ban of an address or a /64 as `show bans` writes it.

        Raises ValueError for what is neither.
        """
        key = source_of(text.removesuffix("/64"))
        for known in [k for of in (self._young, self._old) for k, s in of.items() if s.key == key]:
            self._young.pop(known, None)
            self._old.pop(known, None)
        return self.bans.lift(key, now)

    def review(self) -> None:
        """Ask anew who is known: the book has changed. Bans stay."""
        for source in (*self._young.values(), *self._old.values()):
            source.left = 0  # the next message asks
            source.waits_until = 0.0

    def _admits(self, address: str, now: float, is_real: bool, data: bytes = b"") -> bool:
        """Judge a message whose source is new here, or has used up what it was given."""
        source = self._young.get(address)
        if source is None or now >= source.waits_until:
            source = self._source(address, now)
            if source.left <= 0:
                if self.bans.until(source.key) > now:
                    self.dropped["banned"] += 1
                    return False
                self._fill(address, source, now)
            if source.left > 0:
                source.left -= 1 + (len(data) >> LARGE)
                return True
        self.dropped["rate"] += 1  # from here on a flood is dropped
        if is_real:
            source.over += 1
            if source.over >= self._flood:
                self._ban(address, source, "flood", now)
        else:
            source.forged += 1
            if source.forged >= self._flood:
                source.forged = 0
                self._doubt(source, MOST_DOUBTS, now)
        return False

    def _fill(self, address: str, source: Source, now: float) -> None:
        """Give what has gathered since the last time, as a token bucket would; a known source gets
        it in parts of a stranger's burst, so that it shows soon when it becomes busy."""
        source.forget_old(now)
        is_trusted = self._is_trusted(address, source, now)
        rate = self._rates.known_messages_per_s if is_trusted else self._rates.messages_per_s
        if source.slow_until > now and not is_trusted:
            rate = min(rate, SLOW_PER_S)
        if is_trusted:
            self._tell_if_busy(source, now)
        gathered = min(now - source.filled_at, BURST_S) * rate
        given = int(min(gathered, self._rates.messages_per_s * BURST_S))  # the rest later
        if given > 0:
            source.given, source.given_at = given, now
            source.left = given + min(source.left, 0)
            source.filled_at = now - (int(gathered) - given) / rate
        source.waits_until = min(source.filled_at + 1 / rate, now + LONGEST_WAIT_S)

    def _tell_if_busy(self, source: Source, now: float) -> None:
        """Tell of a source that has used its bucket up faster than a stranger's would fill."""
        usual = self._rates.messages_per_s
        if (
            source.given > usual * max(1.0, now - source.given_at)
            and now - source.told_at >= TELL_S
        ):
            source.told_at = now
            self.busy(source.key)

    def _doubt(self, source: Source, weight: float, now: float) -> None:
        """Hear less of a source that seems to do wrong, and may be the victim of who does."""
        source.doubts += weight
        if source.doubts >= MOST_DOUBTS - 1e-6:
            source.doubts = 0.0
            source.left = min(source.left, SLOW_PER_S)
            source.slow_until = now + SLOW_S

    def _is_trusted(self, address: str, source: Source, now: float) -> bool:
        return source.proven_until > now or self._is_known(address)

    def _ban(self, address: str, source: Source, reason: str, now: float) -> Ban | None:
        """Ban a stranger; what a known source did is forgotten, and begins anew."""
        source._begin(now)
        if self._is_trusted(address, source, now):
            return None
        if source.key != address and self._is_known(source.key):
            return None  # a neighbour in the same /64, whose address is as easily made up, is known
        source.left = 0
        return self.bans.add(source.key, reason, now)

    def _source(self, address: str, now: float) -> Source:
        source = self._young.get(address)
        if source is not None:
            return source
        source = self._old.pop(address, None)
        if source is None:
            key = source_of(address)
            if key != address and self._is_known(address):
                key = address  # its neighbours' messages cost it nothing
            source = self._young.get(key) or self._old.get(key) or self._new(key, now)
            self._keep(key, source)
        self._keep(address, source)
        return source

    def _new(self, key: str, now: float) -> Source:
        if self.bans.until(key) > now:
            return Source(key, 0, now)
        return Source(key, int(self._rates.messages_per_s * BURST_S), now)

    def _keep(self, name: str, source: Source) -> None:
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[name] = source


def source_of(address: str) -> str:
    """Return whom an address stands for: itself, or the /64 of an IPv6 host, who has all of it.

    Raises ValueError for what is no IP address.
    """
    read = ip_address(address.partition("%")[0])
    if not isinstance(read, IPv6Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return f"{IPv6Address(int(read) >> 64 << 64)}/64"
