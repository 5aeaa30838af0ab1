"""Carriers in order: priority, then weight (RFC 2782), full ones and unwilling ones left out."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sipcore.numbering import Style
from sipcore.policy.attempt import CarrierTarget
from sipcore.policy.book import Book, Carrier
from sipcore.policy.decide import decide
from sipcore.policy.profile import Profile
from sipcore.policy.routing import in_weighted_order
from sipcore.policy.standing import DEMOTED, DOWN, TRIAL, UNREGISTERED
from tests.policy.town import WORKSHOP, attempt, permitted, town


def carrier(name: str, priority: int = 1, weight: int = 10, allow: str = "national") -> Carrier:
    return Carrier(name, f"sip:{name}", 1, priority, weight, frozenset({allow}))


def tried(book: Book, load: dict[str, int], draw: float = 0.0) -> list[str]:
    wish = attempt(WORKSHOP, "02012345678", draw=draw)
    permit = permitted(decide(book, wish, Counter(load)))
    return [target.id for (target,) in permit.targets if isinstance(target, CarrierTarget)]


def test_priority_comes_before_weight() -> None:
    book = town(carriers=[carrier("far", 2, 65535), carrier("near", 1, 1)], peers=[])
    assert tried(book, {}, 0.999) == ["near", "far"]


@pytest.mark.parametrize(
    ("draw", "order"),
    [(0.0, "abc"), (0.1, "acb"), (0.15, "bac"), (0.39, "bca"), (0.5, "cab"), (0.999, "cba")],
)
def test_one_draw_decides_the_whole_order(draw: float, order: str) -> None:
    book = town(carriers=[carrier("a", 1, 1), carrier("b", 1, 2), carrier("c", 1, 4)], peers=[])
    assert "".join(tried(book, {}, draw)) == order


def test_weight_zero_comes_after_all_others() -> None:
    carriers = [carrier("a", 1, 0), carrier("b", 1, 5), carrier("c", 1, 0)]
    for draw in (0.0, 0.5, 0.999):
        assert [one.id for one in in_weighted_order(carriers, draw)] == ["b", "a", "c"]


def test_full_carriers_and_those_of_another_class_are_left_out() -> None:
    book = town(
        carriers=[carrier("full"), carrier("other", allow="premium"), carrier("free", 2)], peers=[]
    )
    assert tried(book, {"carrier:full": 1}) == ["free"]


def test_a_number_is_written_in_each_carriers_style() -> None:
    book = town(
        carriers=[
            replace(carrier("a", 1), profile=Profile(numbers=Style.E164)),
            replace(carrier("b", 2), profile=Profile(numbers=Style.DIGITS)),
        ],
        peers=[],
    )
    permit = permitted(decide(book, attempt(WORKSHOP, "13900000000"), Counter()))
    written = [
        (one.number, one.caller) for (one,) in permit.targets if isinstance(one, CarrierTarget)
    ]
    assert written == [
        ("+8613900000000", "+862136413501"),
        ("8613900000000", "862136413501"),
    ]


@given(st.lists(st.integers(0, 65535), max_size=6), st.floats(0, 1, exclude_max=True))
def test_every_carrier_is_tried_once(weights: list[int], draw: float) -> None:
    carriers = [carrier(str(at), 1, weight) for at, weight in enumerate(weights)]
    ordered = list(in_weighted_order(carriers, draw))
    assert sorted(one.id for one in ordered) == sorted(one.id for one in carriers)
    positive = [one.weight > 0 for one in ordered]
    assert positive == sorted(positive, reverse=True)


def test_the_first_choice_follows_the_weights() -> None:
    carriers = [carrier("a", 1, 1), carrier("b", 1, 3)]
    draws = [at / 1000 for at in range(1000)]
    first = Counter(next(in_weighted_order(carriers, draw)).id for draw in draws)
    assert first == {"a": 250, "b": 750}


def stood(levels: dict[str, int], dialled: str = "02012345678") -> list[str]:
    """Return whom a call tries where carriers a, b (priority 1) and c (2) stand so."""
    book = town(carriers=[carrier("a", 1, 0), carrier("b", 1, 0), carrier("c", 2)], peers=[])
    permit = permitted(decide(book, attempt(WORKSHOP, dialled), Counter(), levels))
    return [target.id for (target,) in permit.targets if isinstance(target, CarrierTarget)]


def test_what_stands_worse_comes_later_whatever_its_priority() -> None:
    assert stood({}) == ["a", "b", "c"]
    assert stood({"a": DEMOTED}) == ["b", "c", "a"]
    assert stood({"a": DOWN, "b": DEMOTED}) == ["c", "b", "a"]
    assert stood({"a": UNREGISTERED, "b": DOWN, "c": DEMOTED}) == ["c", "a", "b"]


def test_where_all_stand_alike_the_order_is_the_usual_one() -> None:
    assert stood({"a": DOWN, "b": DOWN, "c": DOWN}) == ["a", "b", "c"]


def test_a_trial_stands_at_its_old_place_but_not_for_emergency_calls() -> None:
    assert stood({"a": TRIAL}) == ["a", "b", "c"]
    assert stood({"a": TRIAL}, "110") == ["b", "c", "a"]


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
    st.sampled_from(["02012345678", "119"]),
)
def test_nobody_is_left_out_for_standing_badly(levels: dict[str, int], dialled: str) -> None:
    order = stood(levels, dialled)
    assert sorted(order) == ["a", "b", "c"]
    later = [levels.get(one, 0) for one in order]
    later = [0 if one == TRIAL and dialled != "119" else one for one in later]
    assert later == sorted(later)
