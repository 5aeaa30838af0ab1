"""The registrar (RFC 3261 10.3): who is where. In memory, written behind, restored at start."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from sipcore.call.leg import is_behind_nat
from sipcore.clock import Clock
from sipcore.endpoint import Endpoint
from sipcore.errors import BadMessage
from sipcore.message.address import Address
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.policy.book import Identity
from sipcore.store.bindings import Binding, Bindings

DEFAULT_EXPIRES_S = 3600
LEAST_EXPIRES_S = 60
MOST_EXPIRES_S = 7200

Owner = tuple[str, str]  # customer, user


class Verdict(Struct, frozen=True):
    """What the REGISTER is answered."""

    status: int
    headers: Headers
    result: str  # for the metric


class Wish(Struct, frozen=True):
    """One Contact of a REGISTER: where, and for how long; 0 removes it."""

    contact: Address
    expires_s: int

    @property
    def instance(self) -> str:
        """The device (RFC 5626 4.1), and which of its flows."""
        instance = self.contact.params.get("+sip.instance") or ""
        return f"{instance}#{self.contact.params.get('reg-id') or ''}" if instance else ""


class Registrar:
    """All bindings of a node."""

    def __init__(
        self, endpoint: Endpoint, clock: Clock, store: Bindings, most_contacts: int
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._store = store
        self._most_contacts = most_contacts
        self._bindings: dict[Owner, dict[str, Binding]] = {}
        self._sources: Counter[str] = Counter()  # live bindings by the address they came from
        self._count = 0

    def restore(self, bindings: Iterable[Binding]) -> None:
        """Take in what was registered before a restart."""
        for binding in bindings:
            self._keep(binding)

    def __len__(self) -> int:
        return self._count

    def is_source(self, address: str) -> bool:
        """Tell whether anybody is registered from an address."""
        return address in self._sources

    def is_home(self, identity: Identity, address: str) -> bool:
        """Tell whether an identity is registered from an address."""
        mine = self._of((identity.customer, identity.user))
        return any(one.remote_address == address for one in mine)

    def all(self) -> list[Binding]:
        """Return every binding that has not expired, for people who look in."""
        now = self._clock.wall_s()
        return [
            binding
            for mine in self._bindings.values()
            for binding in mine.values()
            if binding.expires_at > now
        ]

    def sweep(self) -> None:
        """Let go what has expired. Look-ups skip it before that."""
        now = self._clock.wall_s()
        expired = [
            binding
            for mine in self._bindings.values()
            for binding in mine.values()
            if binding.expires_at <= now
        ]
        for binding in expired:
            self._drop(binding)

    def ways_to(self, customer: str, user: str) -> list[tuple[str, Hop]]:
        """Return Request-URI and way of every live contact, the latest registered first."""
        now = self._clock.wall_s()
        live = [one for one in self._of((customer, user)) if one.expires_at > now]
        live.sort(key=lambda one: one.expires_at, reverse=True)
        ways = ((one.contact, self._way(one)) for one in live)
        return [(contact, hop) for contact, hop in ways if hop is not None]

    def register(self, identity: Identity, request: Request, flow: Flow) -> Verdict:
        """Act on an authenticated REGISTER. Raises BadMessage; then nothing has changed."""
        user = request.to.uri.user
        if user != identity.user or request.from_.uri.user != user:  # no third party (10.2)
            return Verdict(403, {}, "refused")
        owner = (identity.customer, identity.user)
        rows = request.values("Contact")
        if not rows:
            return self._answer(owner, "queried")
        if "*" in rows:
            return self._clear(owner, request, rows)
        wishes = [self._wish(contact, request) for contact in request.addresses("Contact")]
        least = min((one.expires_s for one in wishes if one.expires_s), default=MOST_EXPIRES_S)
        if least < LEAST_EXPIRES_S:
            return Verdict(423, {"Min-Expires": [str(LEAST_EXPIRES_S)]}, "refused")
        if self._is_out_of_order(owner, request):
            return Verdict(500, {}, "refused")
        after = self._replaced(owner, wishes, request, flow)
        if len(after) > self._most_contacts:
            return Verdict(403, {}, "refused")
        self._commit(owner, after)
        return self._answer(owner, "registered" if any(w.expires_s for w in wishes) else "removed")

    def _wish(self, contact: Address, request: Request) -> Wish:
        said = contact.params.get("expires")
        if said is not None and said.isdecimal() and said.isascii():
            expires_s = int(said[:10])
        else:
            header = request.number("Expires", (1 << 32) - 1)
            expires_s = DEFAULT_EXPIRES_S if header is None else header
        if contact.uri.scheme not in ("sip", "sips"):
            raise BadMessage("Contact is no SIP URI")
        return Wish(contact, min(expires_s, MOST_EXPIRES_S))

    def _clear(self, owner: Owner, request: Request, rows: list[str]) -> Verdict:
        """`Contact: *` removes all, alone and with Expires: 0 (10.2.2)."""
        if len(rows) != 1 or request.number("Expires", (1 << 32) - 1) != 0:
            raise BadMessage("Contact: * needs Expires: 0 and stands alone")
        if self._is_out_of_order(owner, request):
            return Verdict(500, {}, "refused")
        self._commit(owner, {})
        return self._answer(owner, "removed")

    def _is_out_of_order(self, owner: Owner, request: Request) -> bool:
        """An older request of the same client came late (10.3 step 7)."""
        call_id, number = request.call_id, request.cseq.number
        return any(one.call_id == call_id and number <= one.cseq for one in self._of(owner))

    def _replaced(
        self, owner: Owner, wishes: list[Wish], request: Request, flow: Flow
    ) -> dict[str, Binding]:
        """Return the bindings as they will be: the same URI or the same device is replaced."""
        now = self._clock.wall_s()
        after = {key: one for key, one in self._mine(owner).items() if one.expires_at > now}
        for wish in wishes:
            uri = wish.contact.uri
            for key, one in list(after.items()):
                is_same_device = wish.instance and wish.instance == one.instance
                if is_same_device or key == str(uri) or uri.is_same(Uri.parse(key)):
                    del after[key]
            if wish.expires_s:
                binding = _binding(owner, wish, request, flow, now)
                after[binding.contact] = binding
        return after

    def _commit(self, owner: Owner, after: dict[str, Binding]) -> None:
        before = self._mine(owner)
        for key, binding in list(before.items()):
            if key not in after:
                self._drop(binding)
        for key, binding in after.items():
            if before.get(key) is not binding:
                self._keep(binding)
                self._store.put(binding)

    def _answer(self, owner: Owner, result: str) -> Verdict:
        now = self._clock.wall_s()
        contacts = [
            f"<{one.contact}>;expires={round(one.expires_at - now)}"
            for one in self._of(owner)
            if one.expires_at > now
        ]
        return Verdict(200, {"Contact": contacts} if contacts else {}, result)

    def _way(self, binding: Binding) -> Hop | None:
        """Return how a contact is reached: on its own stream, back where it came from when it is
        behind NAT, else at its URI."""
        flow = Flow(
            binding.transport,
            binding.local_address,
            binding.local_port,
            binding.remote_address,
            binding.remote_port,
        )
        uri = Uri.parse(binding.contact)
        if flow.is_reliable or is_behind_nat(uri, flow):
            return self._endpoint.hop_by(flow)
        return self._endpoint.hop_at_once(uri) or self._endpoint.hop_by(flow)

    def _mine(self, owner: Owner) -> dict[str, Binding]:
        return self._bindings.get(owner) or {}

    def _of(self, owner: Owner) -> list[Binding]:
        return list(self._mine(owner).values())

    def _keep(self, binding: Binding) -> None:
        mine = self._bindings.setdefault((binding.customer, binding.extension), {})
        if (before := mine.get(binding.contact)) is not None:
            self._leave(before)
        self._count += 1
        self._sources[binding.remote_address] += 1
        mine[binding.contact] = binding

    def _leave(self, binding: Binding) -> None:
        self._count -= 1
        self._sources[binding.remote_address] -= 1
        if not self._sources[binding.remote_address]:
            del self._sources[binding.remote_address]

    def _drop(self, binding: Binding) -> None:
        owner = (binding.customer, binding.extension)
        mine = self._bindings[owner]
        del mine[binding.contact]
        self._leave(binding)
        if not mine:
            del self._bindings[owner]
        self._store.remove(binding.key)


def _binding(owner: Owner, wish: Wish, request: Request, flow: Flow, now: float) -> Binding:
    return Binding(
        customer=owner[0],
        extension=owner[1],
        contact=str(wish.contact.uri),
        instance=wish.instance,
        transport=flow.transport,
        local_address=flow.local_address,
        local_port=flow.local_port,
        remote_address=flow.remote_address,
        remote_port=flow.remote_port,
        call_id=request.call_id,
        cseq=request.cseq.number,
        expires_at=now + wish.expires_s,
        user_agent=(request.first("User-Agent") or "")[:128],
    )
