"""The display number: one of the account's own, or the call does not leave. Lesson 26."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.policy.caller_id import (
    CallerId,
    asserted_number,
    inside_caller,
    outside_caller,
    public_caller,
)
from tests.policy.town import BETA_PBX, FRONT_DESK, TOWN

ACCOUNT = TOWN.accounts["acme-1"]
BARE = TOWN.accounts["acme-3"]


@pytest.mark.parametrize(
    ("extension", "asserted", "shown"),
    [
        ("8001", None, "+862136413502"),  # the extension's
        ("8002", None, "+862136413501"),  # else the account's default
        (None, None, "+862136413501"),  # a PBX
        ("8001", "8001", "+862136413502"),  # fewer than 7 digits assert nothing
        ("8001", "123456", "+862136413502"),
        ("8001", "anonymous", "+862136413502"),
        ("8001", "", "+862136413502"),
        ("8001", "02136413501", "+862136413501"),  # asserted and own, however written
        ("8001", "36413501", "+862136413501"),
        ("8001", "862136413501", "+862136413501"),
        ("8001", "+86 21 3641-3501", "+862136413501"),
        ("80010001", "80010001", "+862136413501"),  # its own long extension number is no claim
    ],
)
def test_an_own_number_is_shown(extension: str | None, asserted: str | None, shown: str) -> None:
    caller = TOWN.extension("acme", extension) if extension else None
    assert outside_caller(TOWN, ACCOUNT, caller, asserted) == CallerId(shown)


@pytest.mark.parametrize(
    "asserted",
    [
        "02136413599",  # another customer's
        "02136413511",  # another account's of the same customer
        "13800000000",
        "+85223456789",
        "8002001",  # 7 digits are an assertion, a number or not
        "999999999999999999",
    ],
)
def test_a_foreign_number_is_a_fault(asserted: str) -> None:
    caller = outside_caller(TOWN, ACCOUNT, TOWN.extension("acme", "8001"), asserted)
    assert caller == CallerId(
        "+862136413502", fault=f"{asserted} is not a number of account acme-1"
    )


def test_an_account_without_numbers_shows_nothing_and_may_not_call_out() -> None:
    caller = outside_caller(TOWN, BARE, None, None)
    assert caller == CallerId("", fault="account acme-3 has no display number")


@given(st.one_of(st.none(), st.text("0123456789+- ()", max_size=18), st.text(max_size=12)))
def test_whatever_is_asserted_only_an_own_number_is_shown(asserted: str | None) -> None:
    caller = outside_caller(TOWN, ACCOUNT, TOWN.extension("acme", "8001"), asserted)
    assert caller.number in ACCOUNT.numbers


@pytest.mark.parametrize(
    ("asserted", "claim"),
    [
        (None, None),
        ("123456", None),
        ("1234567", "1234567"),
        ("+12-34-567", "+12-34-567"),
        ("123456x", None),
        ("++1234567", None),
    ],
)
def test_seven_digits_make_an_assertion(asserted: str | None, claim: str | None) -> None:
    assert asserted_number(asserted) == claim


def test_inside_an_extension_shows_itself_whatever_it_asserts() -> None:
    extension = TOWN.extension("acme", "8001")
    caller = inside_caller(TOWN, FRONT_DESK, ACCOUNT, extension, "13800000000")
    assert caller == CallerId("8001", "Front desk")


@pytest.mark.parametrize(
    ("asserted", "shown"),
    [
        ("205", "205"),  # the PBX's own extension
        ("8001", "+862136413599"),  # one that another extension has
        ("02136413599", "+862136413599"),
        ("13800000000", "+862136413599"),
        (None, "+862136413599"),
    ],
)
def test_inside_a_pbx_shows_its_short_number_or_an_own_one(
    asserted: str | None, shown: str
) -> None:
    account = TOWN.accounts["beta-1"]
    assert inside_caller(TOWN, BETA_PBX, account, None, asserted) == CallerId(shown)


def test_inside_a_pbx_of_an_account_without_numbers_shows_its_id() -> None:
    assert inside_caller(TOWN, BETA_PBX, BARE, None, None) == CallerId("beta-pbx")


@pytest.mark.parametrize(
    ("asserted", "shown"),
    [("13800000000", "+8613800000000"), ("anonymous", "anonymous"), (None, ""), ("10086", "10086")],
)
def test_from_outside_a_number_is_read_or_left(asserted: str | None, shown: str) -> None:
    assert public_caller(TOWN, asserted) == CallerId(shown)
