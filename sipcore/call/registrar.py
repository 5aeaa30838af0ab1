"""The registrar (RFC 3261 10.3): who is where. In memory, written behind, restored at start."""

from collections.abc import Callable, Iterable, Sequence
from sys import intern

from msgspec.structs import replace

from sipcore.call.contact import bind, device_of, is_replaced, renewed, row_of
from sipcore.call.desk import Reach
from sipcore.call.hops import is_behind_nat
from sipcore.call.wish import Asked, Verdict, read
from sipcore.clock import Clock
from sipcore.endpoint import Endpoint
from sipcore.errors import BadMessage
from sipcore.message.address import parse_address
from sipcore.message.flow import GONE, Flow, Hop
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.message.values import split_commas
from sipcore.policy.book import Identity
from sipcore.store.bindings import Binding, BindingKey, Bindings
from sipcore.transport.guard import source_of

WEB = ("ws", "wss")  # nobody can connect to a page: its own connection is the only way

SLICE_S = 10.0

Owner = tuple[str, str]  # customer, user
OnChange = Callable[[Owner], None]


class Registrar:
    """All bindings of a node. `on_change` is told whose contacts have come or gone; `is_peer` tells
    the addresses of carriers and trunks.

    `service_route` is told to devices that register through an edge (RFC 3608).
    """

    def __init__(
        self, endpoint: Endpoint, clock: Clock, store: Bindings, most_contacts: int
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._store = store
        self._most_contacts = most_contacts
        self._bindings: dict[Owner, tuple[Binding, ...]] = {}
        self._sources: dict[str, int] = {}  # bindings by the address they came from
        self._edges: dict[tuple[str, str, int], int] = {}  # those with a Path, by their place
        # Who is to be looked at in a slice of time: when the first of his bindings ends, or before.
        self._due: dict[float, list[Owner]] = {}
        self._looks: dict[Owner, float] = {}  # the one slice of each that counts
        self._count = 0
        self.service_route: tuple[str, ...] = ()
        self.is_path_strict = False
        self.is_peer: Callable[[str], bool] = lambda address: False
        self.on_change: OnChange = lambda owner: None

    def restore(self, bindings: Iterable[Binding]) -> None:
        """Take in what was registered before a restart."""
        for binding in bindings:
            owner = (binding.customer, binding.extension)
            mine = [one for one in self._mine(owner) if one.key != binding.key]
            self._put(owner, (*mine, binding))

    def __len__(self) -> int:
        return self._count

    def is_source(self, address: str) -> bool:
        """Tell whether anybody is registered from an address, or from within a /64."""
        return address in self._sources

    def has_phones(self, flow: Flow, is_exact: bool) -> bool:
        """Tell whether anybody is registered from a flow's address; `is_exact`: along a Path
        and from its very place."""
        if not is_exact:
            return flow.remote_address in self._sources
        return _edge_of(flow) in self._edges

    def is_home(self, identity: Identity, address: str) -> bool:
        """Tell whether an identity is registered from an address."""
        mine = self._mine((identity.customer, identity.user))
        return any(one.remote_address == address for one in mine)

    def all(self) -> list[Binding]:
        """Return every binding that has not expired, for people who look in."""
        now = self._clock.wall_s()
        return [one for mine in self._bindings.values() for one in mine if one.expires_at > now]

    def of(self, customer: str, user: str) -> list[Binding]:
        """Return what an extension or a trunk has registered, the preferred and latest first."""
        return sorted(self._live((customer, user)), key=lambda one: (-one.q, -one.expires_at))

    @property
    def looks(self) -> int:
        """How many looks at owners are noted: about one each, whatever they do."""
        return sum(map(len, self._due.values()))

    def sweep(self) -> None:
        """Let go what has expired. Look-ups skip it before that."""
        now = self._clock.wall_s()
        for due in [one for one in self._due if one <= now // SLICE_S]:
            for owner in self._due.pop(due):
                if self._looks.get(owner) != due:
                    continue  # it was looked at before
                del self._looks[owner]
                mine = self._mine(owner)
                live = [one for one in mine if one.expires_at > now]
                if len(live) < len(mine):
                    self._commit(owner, live)
                if live:
                    self._look_at(owner, _first_end(live))

    def ways_to(self, customer: str, user: str) -> list[Reach]:
        """Return the way to every device that is registered, the preferred and latest first.

        Of several flows of one device the latest is taken (RFC 5626 6).
        """
        found: list[Reach] = []
        devices: set[str] = set()
        for one in self.of(customer, user):
            device = device_of(one)
            if device in devices or (reach := self._reach(one)) is None:
                continue
            found.append(reach)
            if device:
                devices.add(device)
        return found

    def flow_failed(self, key: BindingKey) -> Reach | None:
        """Forget a flow over which its device cannot be reached any more (RFC 5626 5.3, 430).

        Return the way over another flow of the device. A contact that is no flow stays: it may be
        reached in other ways.
        """
        owner = key[:2]
        lost = next((one for one in self._mine(owner) if one.key == key), None)
        if lost is None or not device_of(lost):
            return None
        self._commit(owner, [one for one in self._mine(owner) if one is not lost])
        rest = (one for one in self.of(*owner) if device_of(one) == device_of(lost))
        return next((reach for one in rest if (reach := self._reach(one)) is not None), None)

    def register(self, identity: Identity, request: Request, flow: Flow) -> Verdict:
        """Act on an authenticated REGISTER. Raises BadMessage; then nothing has changed."""
        user = request.to.uri.user
        if user != identity.user or _sender(request) != user:  # no third party (10.2)
            return Verdict(403, {}, "refused")
        owner = (intern(identity.customer), intern(identity.user))  # kept once, however often read
        verdict = self._renew(owner, request, flow)
        if verdict is not None:
            return verdict
        rows = request.values("Contact")
        if not rows:
            return self._answer(owner, "queried")
        if "*" in rows:
            return self._clear(owner, request, rows)
        asked = read(request, is_path_strict=self.is_path_strict)
        if isinstance(asked, Verdict):
            return asked
        if asked.is_bulk and identity.kind != "trunk":
            return Verdict(403, {}, "refused")
        if self._is_out_of_order(owner, request):
            return Verdict(500, {}, "refused")
        after = self._replaced(owner, asked, request, flow)
        if len(after) > self._most_contacts:
            return Verdict(403, {}, "refused")
        self._commit(owner, after)
        return self._answer(owner, "registered" if asked.is_kept else "removed", asked)

    def _renew(self, owner: Owner, request: Request, flow: Flow) -> Verdict | None:
        """Renew the one binding that somebody has, as nearly all ask; None for all else, which
        takes the long way to where this would lead, too."""
        mine, now = self._mine(owner), self._clock.wall_s()
        after = renewed(mine[0], request, flow, now) if len(mine) == 1 else None
        if after is None:
            return None
        self._store.put(after)
        if after.expires_at < mine[0].expires_at:
            self._look_at(owner, after.expires_at)
        self._bindings[owner] = (after,)
        return Verdict(200, {"Contact": [row_of(after, now)]}, "registered")

    def _clear(self, owner: Owner, request: Request, rows: list[str]) -> Verdict:
        """`Contact: *` removes all, alone and with Expires: 0 (10.2.2)."""
        if len(rows) != 1 or request.number("Expires", (1 << 32) - 1) != 0:
            raise BadMessage("Contact: * needs Expires: 0 and stands alone")
        if self._is_out_of_order(owner, request):
            return Verdict(500, {}, "refused")
        self._commit(owner, [])
        return self._answer(owner, "removed")

    def _is_out_of_order(self, owner: Owner, request: Request) -> bool:
        """An older request of the same client came late (10.3 step 7)."""
        mine = self._bindings.get(owner)
        if mine is None:
            return False
        call_id, number = request.marks.call_id, request.marks.number
        return any(one.call_id == call_id and number <= one.cseq for one in mine)

    def _replaced(self, owner: Owner, asked: Asked, request: Request, flow: Flow) -> list[Binding]:
        """Return the bindings as they will be: the same URI or the same device is replaced."""
        now = self._clock.wall_s()
        after = [one for one in self._live(owner) if one.transport not in WEB or self._way(one)]
        for wish in asked.wishes:
            after = [one for one in after if not is_replaced(one, wish)]
            if wish.expires_s:
                after.append(bind(owner, wish, request, flow, (now, asked.path)))
        return after

    def _commit(self, owner: Owner, after: list[Binding]) -> None:
        before = self._mine(owner)
        kept, had = [one.key for one in after], [one.key for one in before]
        if kept != had:
            for key in had:
                if key not in kept:
                    self._store.remove(key)
        for one in after:
            if one not in before:
                self._store.put(one)
        self._put(owner, tuple(after))
        if kept != had:
            self.on_change(owner)

    def _put(self, owner: Owner, after: tuple[Binding, ...]) -> None:
        before = self._mine(owner)
        self._count += len(after) - len(before)
        came, went = [one.remote_address for one in after], [one.remote_address for one in before]
        if came != went:
            self._change_sources(came, went)
        for one in after:
            if one.path:
                self._edges[_edge_of(one)] = self._edges.get(_edge_of(one), 0) + 1
        for one in before:
            if one.path:
                self._edges[_edge_of(one)] -= 1
                if not self._edges[_edge_of(one)]:
                    del self._edges[_edge_of(one)]
        if after and (not before or _first_end(after) < _first_end(before)):
            self._look_at(owner, _first_end(after))
        if after:
            self._bindings[owner] = after
        else:
            self._bindings.pop(owner, None)

    def _look_at(self, owner: Owner, at: float) -> None:
        """Look at an owner's bindings once that time has come, if not before: one that comes and
        goes all the time is noted once.
        """
        due = at // SLICE_S
        if self._looks.get(owner, due + 1) > due:
            self._looks[owner] = due
            self._due.setdefault(due, []).append(owner)

    def _change_sources(self, came: list[str], went: list[str]) -> None:
        for address in came:
            for name in _names_of(address):
                self._sources[name] = self._sources.get(name, 0) + 1
        for address in went:
            for name in _names_of(address):
                self._sources[name] -= 1
                if not self._sources[name]:
                    del self._sources[name]

    def _answer(self, owner: Owner, result: str, asked: Asked | None = None) -> Verdict:
        now = self._clock.wall_s()
        contacts = [row_of(one, now) for one in self._live(owner)]
        headers: Headers = {"Contact": contacts} if contacts else {}
        if asked is not None and asked.path:
            if asked.reflects_path:
                headers["Path"] = split_commas(asked.path)
            if self.service_route:
                headers["Service-Route"] = list(self.service_route)
        if asked is not None and asked.is_outbound:
            headers["Require"] = ["outbound"]
        return Verdict(200, headers, result)

    def _reach(self, binding: Binding) -> Reach | None:
        hop = self._way(binding)
        if hop is None:
            return None
        route = tuple(split_commas(binding.path)) if binding.path else ()
        return Reach(binding.contact, hop, route, binding.key)

    def _way(self, binding: Binding) -> Hop | None:
        """Return how a contact is reached; None where nothing leads there.

        A carrier or a PBX takes our calls without asking: who names its address, and did not sign
        in from there, would call at our expense. He is called back where he came from.
        """
        hop = self._way_said(binding)
        if hop is None or hop.flow.remote_address == binding.remote_address:
            return hop
        if not self.is_peer(hop.flow.remote_address):
            return hop
        flow = _flow_of(binding)
        is_there = not binding.path and not (flow.is_reliable and self._endpoint.is_dead(flow))
        return self._endpoint.hop_by(flow) if is_there else None

    def _way_said(self, binding: Binding) -> Hop | None:
        """Return how a contact wants to be reached: along its path; on its own stream or flow; back
        where it came from when it is behind NAT or has no address; else at its URI. None where it
        had a connection that is gone, and nothing else leads there (RFC 5626 5.3)."""
        flow = _flow_of(binding)
        if binding.path:
            first = parse_address(split_commas(binding.path)[0]).uri
            return self._endpoint.hop_at_once(first) or self._endpoint.hop_by(flow)
        if flow.is_reliable and not self._endpoint.is_dead(flow):
            return self._endpoint.hop_by(flow)
        uri = Uri.parse(binding.contact)
        is_flow = device_of(binding) != "" or is_behind_nat(uri, flow) or _is_nowhere(uri)
        if flow.is_reliable:
            return None if is_flow or binding.transport in WEB else self._anew(uri)
        if is_flow:
            return self._endpoint.hop_by(flow)
        return self._endpoint.hop_at_once(uri) or self._endpoint.hop_by(flow)

    def _anew(self, uri: Uri) -> Hop | None:
        """Return the way to a contact whose connection has gone: one of ours, and no other's."""
        hop = self._endpoint.hop_at_once(uri)
        if hop is None or not hop.flow.is_reliable:
            return hop
        return Hop(replace(hop.flow, connection=GONE), hop.sent_by)

    def _mine(self, owner: Owner) -> tuple[Binding, ...]:
        return self._bindings.get(owner, ())

    def _live(self, owner: Owner) -> list[Binding]:
        now = self._clock.wall_s()
        return [one for one in self._mine(owner) if one.expires_at > now]


def _edge_of(flow: Flow | Binding) -> tuple[str, str, int]:
    return flow.transport, flow.remote_address, flow.remote_port


def _flow_of(binding: Binding) -> Flow:
    return Flow(
        binding.transport,
        binding.local_address,
        binding.local_port,
        binding.remote_address,
        binding.remote_port,
        binding.connection,
    )


def _sender(request: Request) -> str | None:
    """Return the user in From, which nearly always begins as To."""
    to = request.headers["To"][0]
    if to[-1:] == ">" and request.marks.from_.startswith(to):
        return request.to.uri.user
    return request.from_.uri.user


def _is_nowhere(uri: Uri) -> bool:
    """Tell the name of a client that nobody can connect to (RFC 7118 5.2.1)."""
    return uri.host.lower().endswith(".invalid")


def _first_end(bindings: Sequence[Binding]) -> float:
    if len(bindings) == 1:
        return bindings[0].expires_at
    return min([one.expires_at for one in bindings])


def _names_of(address: str) -> tuple[str, ...]:
    """Return what the guard asks for: an address, and for IPv6 its /64."""
    return (address, source_of(address)) if ":" in address else (address,)
