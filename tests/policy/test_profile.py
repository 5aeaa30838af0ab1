"""Numbers as peers write and read them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sipcore.numbering import Home, Style, normalise
from sipcore.policy.decide import decide
from sipcore.policy.profile import USUAL, Profile
from tests.policy.town import FROM_A, ROWS, attempt, permitted, town

SHANGHAI = Home("86", "021")
OWN, ELSEWHERE, MOBILE, ABROAD = "+862136413501", "+861036413501", "+8613800000000", "+85223456789"


@pytest.mark.parametrize(
    ("style", "written"),
    [
        (Style.E164, [OWN, ELSEWHERE, MOBILE, ABROAD]),
        (Style.DIGITS, ["862136413501", "861036413501", "8613800000000", "85223456789"]),
        (Style.NATIONAL, ["02136413501", "01036413501", "13800000000", "0085223456789"]),
        (Style.LOCAL, ["36413501", "01036413501", "13800000000", "0085223456789"]),
    ],
)
def test_numbers_are_written_in_four_ways(style: Style, written: list[str]) -> None:
    profile = Profile(numbers=style)
    assert [profile.told(one, SHANGHAI) for one in (OWN, ELSEWHERE, MOBILE, ABROAD)] == written


def test_local_numbers_are_those_of_the_peers_area() -> None:
    profile = Profile(numbers=Style.LOCAL, area="010")
    assert profile.told(ELSEWHERE, SHANGHAI) == "36413501"
    assert profile.told(OWN, SHANGHAI) == "02136413501"
    assert profile.read("36413501", SHANGHAI) == ELSEWHERE
    assert USUAL.read("36413501", SHANGHAI) == OWN


def test_the_caller_may_be_written_in_another_way_than_the_callee() -> None:
    profile = Profile(caller_numbers=Style.E164)
    assert (profile.told(OWN, SHANGHAI), profile.told_caller(OWN, SHANGHAI)) == ("02136413501", OWN)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("862136413501", OWN),
        ("85223456789", ABROAD),
        ("+85223456789", ABROAD),
        ("02136413501", OWN),
        ("110", "110"),
        ("36413501", "+36413501"),
        ("13800000000", "+13800000000"),
    ],
)
def test_a_peer_may_send_e164_without_its_plus(sent: str, read: str) -> None:
    assert Profile(reads="e164").read(sent, SHANGHAI) == read


@given(st.sampled_from(list(Style)), st.sampled_from([OWN, ELSEWHERE, MOBILE, ABROAD]))
def test_what_is_written_is_read_again(style: Style, number: str) -> None:
    reads = "e164" if style is Style.DIGITS else "dialled"
    profile = Profile(numbers=style, reads=reads)  # type: ignore[arg-type]
    assert profile.read(profile.told(number, SHANGHAI), SHANGHAI) == number


@given(st.text(max_size=20))
def test_anything_can_be_read(text: str) -> None:
    assert USUAL.read(text, SHANGHAI) == normalise(text, SHANGHAI)
    found = Profile(reads="e164", area="010").read(text, SHANGHAI)
    assert found is None or found


def test_a_call_from_a_peer_is_read_by_its_profile() -> None:
    book = town(
        carriers=[replace(one, profile=Profile(reads="e164")) for one in ROWS.carriers], peers=[]
    )
    wish = attempt(FROM_A, "862136413501", "85223456789")
    permit = permitted(decide(book, wish, Counter()))
    assert (permit.callee_routed, permit.caller_shown) == ("8001", ABROAD)


@pytest.mark.parametrize(("setting", "heard"), [("any", [180, 183]), ("183", [183]), ("none", [])])
def test_which_18x_carry_sound_is_a_setting(setting: str, heard: list[int]) -> None:
    profile = Profile(early_media=setting)  # type: ignore[arg-type]
    assert [status for status in (180, 183) if profile.hears(status)] == heard
