"""Slots: calls at once, as lease objects. The count is the number of live leases, never a counter.

A key names what is limited: an account, a trunk, a carrier. One thread owns a Slots (the signalling
loop), so check and take are one step.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from types import TracebackType

Key = str
Want = tuple[Key, int | None]  # key and its limit; None counts without limiting (emergency)


def account_key(account: str) -> Key:
    return f"account:{account}"


def trunk_key(trunk: str) -> Key:
    return f"trunk:{trunk}"


def carrier_key(carrier: str) -> Key:
    return f"carrier:{carrier}"


class Slot:
    """Leases held together. Leaving the block, or release(), gives them back; twice is once."""

    __slots__ = ("_leases", "_slots", "owner")

    def __init__(self, slots: "Slots", owner: str, leases: list[tuple[Key, int]]) -> None:
        self.owner = owner
        self._slots = slots
        self._leases = leases

    @property
    def keys(self) -> tuple[Key, ...]:
        """What is held; empty after release."""
        return tuple(key for key, _ in self._leases)

    def hand_over(self, owner: str) -> "Slot":
        """Return what is held as another owner's; this one holds nothing from now on."""
        leases, self._leases = self._leases, []
        return self._slots._owned(leases, owner)

    def give_back(self, key: Key) -> None:
        """Give one lease on a key back before the rest, if there is one."""
        one = next((lease for lease in self._leases if lease[0] == key), None)
        if one is not None:
            self._leases = [lease for lease in self._leases if lease is not one]
            self._slots._release([one])

    def release(self) -> None:
        self._slots._release(self._leases)
        self._leases = []

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Load:
    """How many leases live on a key; zero for a key that nobody holds."""

    __slots__ = ("_live",)

    def __init__(self, live: Mapping[Key, Mapping[int, str]]) -> None:
        self._live = live

    def __getitem__(self, key: Key) -> int:
        leases = self._live.get(key)
        return 0 if leases is None else len(leases)


class Slots:
    """All live leases of a node."""

    def __init__(self) -> None:
        self._live: dict[Key, dict[int, str]] = {}  # key -> serial -> owner
        self._serial = count()
        self.load = Load(self._live)

    def take(self, wants: Iterable[Want], owner: str = "") -> Slot | None:
        """Take a lease on every key, or none at all: then return None.

        A key that stands twice takes two. `owner` (a call's id) is what an audit looks for.
        """
        taken: list[tuple[Key, int]] = []
        live = self._live
        for key, limit in wants:
            owners = live.get(key)
            if limit is not None and (0 if owners is None else len(owners)) >= limit:
                self._release(taken)
                return None
            serial = next(self._serial)
            if owners is None:
                live[key] = {serial: owner}
            else:
                owners[serial] = owner
            taken.append((key, serial))
        return Slot(self, owner, taken)

    def leases(self) -> Iterator[tuple[Key, str]]:
        """Yield key and owner of every live lease, for an audit."""
        for key, owners in self._live.items():
            for owner in owners.values():
                yield key, owner

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))

    def _owned(self, leases: list[tuple[Key, int]], owner: str) -> Slot:
        for key, serial in leases:
            self._live[key][serial] = owner
        return Slot(self, owner, leases)

    def _release(self, leases: Iterable[tuple[Key, int]]) -> None:
        for key, serial in leases:
            owners = self._live[key]
            del owners[serial]
            if not owners:
                del self._live[key]
