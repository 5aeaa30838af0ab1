"""Slots: leases that cannot leak. Lesson 1: counters rot."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sipcore.policy.concurrency import Slot, Slots, account_key, carrier_key, trunk_key


def test_keys_name_their_kind() -> None:
    assert [account_key("x"), trunk_key("x"), carrier_key("x")] == [
        "account:x",
        "trunk:x",
        "carrier:x",
    ]


def test_a_slot_counts_until_it_is_given_back() -> None:
    slots = Slots()
    with slots.take([("account:a", 1)], "call-1") as slot:  # type: ignore[union-attr]
        assert slots.load["account:a"] == 1
        assert slots.take([("account:a", 1)]) is None
        assert list(slots.leases()) == [("account:a", "call-1")]
        assert slot.keys == ("account:a",)
        assert slot.owner == "call-1"
    assert slots.load["account:a"] == 0
    assert slot.keys == ()
    assert len(slots) == 0


def test_all_keys_are_taken_or_none() -> None:
    slots = Slots()
    held = slots.take([("trunk:t", 1)])
    assert slots.take([("account:a", 5), ("carrier:c", 5), ("trunk:t", 1)]) is None
    assert [slots.load[key] for key in ("account:a", "carrier:c", "trunk:t")] == [0, 0, 1]
    assert held is not None


def test_a_key_that_stands_twice_takes_two() -> None:
    slots = Slots()
    assert slots.take([("trunk:t", 1), ("trunk:t", 1)]) is None
    assert len(slots) == 0
    slot = slots.take([("trunk:t", 2), ("trunk:t", 2)])
    assert slots.load["trunk:t"] == 2
    assert slot is not None
    slot.release()
    slot.release()
    assert len(slots) == 0


def test_without_a_limit_it_counts_and_never_refuses() -> None:
    slots = Slots()
    assert slots.take([("carrier:c", 1)]) is not None
    assert slots.take([("carrier:c", None)]) is not None
    assert slots.load["carrier:c"] == 2


def test_a_bug_in_the_call_gives_the_slot_back() -> None:
    slots = Slots()
    slot = slots.take([("account:a", 1)])
    assert slot is not None
    with pytest.raises(ZeroDivisionError), slot:
        _ = 1 / 0
    assert len(slots) == 0


LIMITS = {"account:a": 2, "account:b": 1, "trunk:t": 3, "carrier:c": 4}


class SlotsNeverLeak(RuleBasedStateMachine):
    """Random calls: never above a limit, never negative, and the count is what is held."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots()
        self.held: list[tuple[Slot, Counter[str]]] = []
        self.gone: list[Slot] = []

    @rule(keys=st.lists(st.sampled_from(sorted(LIMITS)), max_size=4))
    def take(self, keys: list[str]) -> None:
        before = {key: self.slots.load[key] for key in LIMITS}
        wanted = Counter(keys)
        slot = self.slots.take([(key, LIMITS[key]) for key in keys])
        fits = all(before[key] + wanted[key] <= LIMITS[key] for key in wanted)
        assert (slot is not None) == fits
        if slot is None:
            assert before == {key: self.slots.load[key] for key in LIMITS}
        else:
            self.held.append((slot, wanted))

    @rule(index=st.integers(0, 50))
    def release(self, index: int) -> None:
        if self.held:
            slot, _ = self.held.pop(index % len(self.held))
            slot.release()
            self.gone.append(slot)

    @rule(index=st.integers(0, 50))
    def release_again(self, index: int) -> None:
        if self.gone:
            self.gone[index % len(self.gone)].release()

    @invariant()
    def the_count_is_what_is_held(self) -> None:
        held: Counter[str] = sum((keys for _, keys in self.held), Counter())
        assert {key: self.slots.load[key] for key in LIMITS} == {key: held[key] for key in LIMITS}
        assert len(self.slots) == held.total()

    def teardown(self) -> None:
        for slot, _ in self.held:
            slot.release()
        assert len(self.slots) == 0


TestSlotsNeverLeak = SlotsNeverLeak.TestCase
TestSlotsNeverLeak.settings = settings(max_examples=60, stateful_step_count=40)
